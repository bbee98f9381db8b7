"""Discovery and loading of plugins, with distributions made for each test."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import pytest
from distributions import MakeDistribution

import atled.core as at
from atled.core import _core, _registry


def test_names_import_nothing(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.formats": {".abc": "plugin_a:codec"}}, {"plugin_a": "codec = 'the codec'"})
    assert ".abc" in _registry.names("atled.formats")
    assert "plugin_a" not in sys.modules
    assert _registry.load("atled.formats", ".abc") == "the codec"


def test_unknown_group_and_name(make_distribution: MakeDistribution) -> None:
    with pytest.raises(at.InvalidValueError, match=r"expected one of the groups atled\.ops, .*, got 'atled\.nonsense'"):
        _registry.names("atled.nonsense")
    make_distribution("dist-a", {"atled.data": {"s3": "json:loads"}})
    with pytest.raises(at.PluginError, match=r"'gs' of atled\.data is provided by no installed .* found: .*s3"):
        _registry.load("atled.data", "gs")
    assert _registry.find("atled.data", "gs") is None


def test_the_metadata_is_read_once(make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch) -> None:
    make_distribution("dist-a", {"atled.data": {"s3": "json:loads"}})
    scans = []
    scan = _registry._scan
    monkeypatch.setattr(_registry, "_scan", lambda: (scans.append(1), scan())[1])
    for _ in range(3):
        _registry.names("atled.data")
        _registry.load("atled.data", "s3")
    assert len(scans) == 1


def test_a_callable_of_a_registration_group_runs_once(make_distribution: MakeDistribution) -> None:
    source = "calls = []\ndef register():\n    calls.append(1)\n"
    make_distribution("dist-a", {"atled.ops": {"mine": "plugin_a:register"}}, {"plugin_a": source})
    _registry.load_ops("mine")
    _registry.load_ops("mine")
    assert sys.modules["plugin_a"].calls == [1]


def test_a_path_is_a_plugin_library(make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(_registry._core, "load_plugin", loaded.append)
    folder = make_distribution(
        "dist-a",
        {"atled.ops": {"mine": "plugin_a:LIBRARY"}, "atled.kernels": {"cpu.mine": "plugin_a:AS_TEXT"}},
        {"plugin_a": "from pathlib import Path\nLIBRARY = Path(__file__).parent / 'x.so'\nAS_TEXT = str(LIBRARY)\n"},
    )
    _registry.load_ops("mine")
    assert _registry.load_kernels("cpu", "mine")
    assert loaded == [str((folder / "x.so").resolve())]


def test_a_library_that_is_missing_names_the_wheel(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.ops": {"mine": "plugin_a:LIBRARY"}}, {"plugin_a": "LIBRARY = '/nowhere/x.so'"})
    with pytest.raises(at.PluginError, match=r"dist-a 1\.0 .*/nowhere/x\.so.*pip install --upgrade .*dist-a"):
        _registry.load_ops("mine")


def test_kernels_that_a_wheel_was_built_without(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "dist-a", {"atled.kernels": {"cpu.left_out": "plugin_a:LIBRARY"}}, {"plugin_a": "LIBRARY = '/nowhere/x.so'"}
    )
    message = r"this build of dist-a is without its kernels for cpu: looked for /nowhere/x\.so, which is not there"
    op = _core.define_op("left_out::op(Tensor input) -> Tensor")
    for _ in range(2):  # it says so each time
        with pytest.raises(at.NotImplementedOpError, match=f"op: expected a kernel .* but there is none: {message}"):
            op(at.ones(2))
    (plugin,) = [plugin for plugin in _registry.plugins() if plugin.name == "cpu.left_out"]
    assert not plugin.broken


def test_a_thread_waits_for_kernels_that_another_loads(make_distribution: MakeDistribution) -> None:
    slow = (
        "import time, atled.core as at\nfrom atled.core import _core\n"
        "def register():\n    time.sleep(0.2)\n    _core.add_kernel(at.ops.waited.op, 'cpu', lambda x: x + 1)\n"
    )
    make_distribution("dist-a", {"atled.kernels": {"cpu.waited": "plugin_a:register"}}, {"plugin_a": slow})
    op = _core.define_op("waited::op(Tensor input) -> Tensor")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: op(at.ones(1)).item(), range(4)))
    assert answers == [2.0] * 4


def test_a_value_of_the_wrong_kind(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.devices": {"toy": "plugin_a:X"}}, {"plugin_a": "X = 3"})
    with pytest.raises(at.PluginError, match="expected the path of a plugin library or a callable, got int"):
        _registry.load_device("toy")


def test_a_failure_is_recorded_and_raised_at_each_use(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "dist-a",
        {"atled.ops": {"mine": "plugin_a:register"}},
        {"plugin_a": "raise ZeroDivisionError('in the plugin')"},
        version="2.5",
    )
    for _ in range(2):
        with pytest.raises(at.PluginError, match=r"dist-a 2\.5 provides 'mine' of .*in the plugin") as caught:
            _registry.load_ops("mine")
        assert isinstance(caught.value.__cause__, ZeroDivisionError)
        assert "pip install --upgrade --force-reinstall dist-a" in str(caught.value)
    (plugin,) = [plugin for plugin in _registry.plugins() if plugin.name == "mine"]
    assert plugin.state == "failed"


@pytest.mark.parametrize("value", ["no_such_module_anywhere:x", "json:no_such_attribute"])
def test_a_dangling_entry_point(make_distribution: MakeDistribution, value: str) -> None:
    make_distribution("dist-a", {"atled.interop": {"x": value}})
    with pytest.raises(at.PluginError, match=r"dist-a 1\.0 provides 'x' of atled\.interop and failed to load"):
        _registry.load("atled.interop", "x")


def test_a_plugin_that_exits_does_not_end_the_process(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.ops": {"mine": "plugin_a:r"}}, {"plugin_a": "raise SystemExit(3)"})
    with pytest.raises(at.PluginError, match="SystemExit"):
        _registry.load_ops("mine")


def test_two_distributions_with_one_name(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.formats": {".abc": "plugin_a:x"}}, {"plugin_a": "x = 'a'"}, version="1.1")
    make_distribution("dist-b", {"atled.formats": {".abc": "plugin_b:x"}}, {"plugin_b": "x = 'b'"}, version="2.2")
    with pytest.raises(at.PluginError, match=r"'\.abc' .* by dist-a 1\.1 and dist-b 2\.2: pip uninstall dist-a or"):
        _registry.load("atled.formats", ".abc")
    make_distribution("dist-c", {"atled.formats.priority_7": {".abc": "plugin_c:x"}}, {"plugin_c": "x = 'c'"})
    assert _registry.load("atled.formats", ".abc") == "c"


def test_one_distribution_found_twice_is_one(make_distribution: MakeDistribution) -> None:
    make_distribution("dist-a", {"atled.data": {"x": "plugin_old:x"}}, {"plugin_old": "x = 'old'"})
    make_distribution("Dist_A", {"atled.data": {"x": "plugin_new:x"}}, {"plugin_new": "x = 'new'"}, version="1.1")
    assert _registry.load("atled.data", "x") == "new"


def test_broken_metadata_hides_nothing(make_distribution: MakeDistribution) -> None:
    folder = make_distribution("dist-broken", {"atled.data": {"x": "a:b"}})
    (folder / "dist_broken-1.0.dist-info" / "entry_points.txt").write_text("[atled.data]\nno equals sign\n")
    make_distribution("dist-odd", {"atled.typo": {"x": "a:b"}})
    make_distribution("dist-good", {"atled.data": {"good": "json:loads"}})
    assert "good" in _registry.names("atled.data")
    broken = "\n".join(_registry.broken_metadata())
    assert "dist_broken" in broken
    assert "dist-odd 1.0: 'atled.typo' is no extension point" in broken


def test_a_plugin_may_ask_for_itself_while_it_loads(make_distribution: MakeDistribution) -> None:
    source = "from atled.core import _registry\ndef register():\n    _registry.load_ops('mine')\n"
    make_distribution("dist-a", {"atled.ops": {"mine": "plugin_a:register"}}, {"plugin_a": source})
    _registry.load_ops("mine")


def test_threads_register_once(make_distribution: MakeDistribution) -> None:
    source = "import time\ncalls = []\ndef register():\n    time.sleep(0.05)\n    calls.append(1)\n"
    make_distribution("dist-a", {"atled.ops": {"mine": "plugin_a:register"}}, {"plugin_a": source})
    seen: list[int] = []

    def use() -> None:
        _registry.load_ops("mine")
        seen.append(len(sys.modules["plugin_a"].calls))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [1] * 8


@pytest.fixture
def only_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides every installed distribution, as on a machine with nothing but core."""
    monkeypatch.setattr(metadata, "distributions", lambda: iter(()))
    monkeypatch.setattr(_registry, "_plugins", None)


@pytest.mark.usefixtures("only_core")
def test_hints_for_missing_addons() -> None:
    message = "Tensor.backward comes with atled-autograd, which is not installed: pip install atled-autograd"
    with pytest.raises(AttributeError) as missing_attribute:
        _registry.tensor_attribute("backward")
    assert str(missing_attribute.value) == message
    with pytest.raises(at.PluginError, match=r"^at\.ops\.nn comes with atled-nn, .*: pip install atled-nn$"):
        _registry.load_ops("nn")
    with pytest.raises(at.DeviceError, match=r"device 'cuda' comes with .*: pip install 'atled-core\[cuda\]'"):
        _registry.load_device("cuda")
    with pytest.raises(at.PluginError, match=r"at\.ops\.mystery is provided by no installed distribution"):
        _registry.load_ops("mystery")
    assert _registry.load_kernels("cpu", "mystery") is False


def test_an_unknown_op_of_a_namespace_of_cores_own() -> None:
    assert not hasattr(at.ops.fft, "fast") and not hasattr(at.ops.core, "fast")
    assert at.ops.core.exp_(at.zeros(1)).item() == 1 and not hasattr(at.ops.core, "sum_")


@pytest.mark.usefixtures("only_core")
def test_an_attribute_that_nobody_knows() -> None:
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'bakward'"):
        _registry.tensor_attribute("bakward")


def test_functions_of_modules_are_handed_out(
    make_distribution: MakeDistribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_distribution(
        "dist-a", {"atled.functions": {"cuda.zing": "plugin_a:zing"}}, {"plugin_a": "def zing(): return 'zing!'"}
    )
    assert at.cuda.zing() == "zing!"
    del at.cuda.__dict__["zing"]
    monkeypatch.setattr(_registry, "_choose", lambda group, name: None)
    for path in ("cuda.make_graphed_callables", "no_grad", "utils.checkpoint"):
        with pytest.raises(
            AttributeError, match=rf"core\.{path} comes with atled-autograd, .*pip install atled-autogr"
        ):
            _registry.module_function(path)
    with pytest.raises(AttributeError, match=r"module 'atled.core.cuda' has no attribute 'zing'"):
        _ = at.cuda.zing


@pytest.mark.parametrize("path", ["zing", "utils.zing", "backends.zing"])
def test_what_add_ons_put_into_core_itself(make_distribution: MakeDistribution, path: str) -> None:
    make_distribution(
        "dist-a", {"atled.functions": {path: "plugin_a:zing"}}, {"plugin_a": "def zing(): return 'zing!'"}
    )
    module, _, name = path.rpartition(".")
    owner = getattr(at, module) if module else at
    assert getattr(owner, name)() == "zing!"
    del owner.__dict__[name]
    _registry.refresh()
    with pytest.raises(AttributeError, match=f"module '{owner.__name__}' has no attribute 'other'"):
        _ = owner.other


def test_tensor_attributes_are_handed_out(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "dist-a", {"atled.tensor_attributes": {"zing": "plugin_a:zing"}}, {"plugin_a": "def zing(t): return 'zing!'"}
    )
    attribute = _registry.tensor_attribute("zing")
    assert callable(attribute) and attribute(None) == "zing!"
    assert at.tensor([1.0]).zing() == "zing!"
    del at.Tensor.zing


def test_importing_core_scans_nothing() -> None:
    unwanted = ("importlib.metadata", "atled.core._registry", "numpy")
    code = f"import sys, atled.core; print([name for name in {unwanted} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_converters_from_other_libraries(make_distribution: MakeDistribution) -> None:
    make_distribution(
        "dist-a",
        {"atled.interop": {"zlib_of_tables": "plugin_a:convert"}},
        {
            "plugin_a": "import atled.core as at\ndef convert(table): return at.tensor(table.values)\n",
            "zlib_of_tables": "class Table:\n    values = [1.0, 2.0]\nclass Child(Table): pass\n",
        },
    )
    import zlib_of_tables  # type: ignore[import-not-found]

    assert at.asarray(zlib_of_tables.Table()).tolist() == [1.0, 2.0]
    assert at.tensor(zlib_of_tables.Child()).tolist() == [1.0, 2.0]
    with pytest.raises(at.ArgumentError, match="tensor: expected"):
        at.tensor(object())
