"""Everything this repository can do, as nox sessions; the packages are discovered from packages/*/pyproject.toml.

``nox -s tests`` passes all tests and ``nox -s tests -- nn -k conv`` some of them; ``nox --list`` shows the rest.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "ci"))

from wheels import wheel_of  # noqa: E402
from workspace import Package, discover  # noqa: E402


def _runs(python: str) -> bool:
    """Whether an interpreter is there and starts; a version manager's stand-in for one may not."""
    return bool(shutil.which(python)) and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0


PACKAGES = discover()
TESTED = [package.name for package in PACKAGES if package.tests.is_dir()]
DIST = ROOT / "dist"
REPORTS = ROOT / "build" / "reports"
SANITIZED = ["core", "autograd"]
# Programs of C++ alone, the same beside whatever is installed: the session tests runs them.
NOT_HOST_PROGRAMS = "--ignore=packages/core/tests/cuda/test_allocator_host.py"
# Of the tests that exist for every dtype, one dtype's.
ONE_DTYPE = ["-k", "float32 or not test_ops"]
# Wheels are for the stable ABI from 3.12 on: those that the first of these builds serve all.
STABLE = [f"3.{minor}" for minor in (12, 13, 14) if _runs(f"python3.{minor}")]

nox.options.sessions = ["lint", "types", "tests"]
nox.options.error_on_missing_interpreters = True


def install(session: nox.Session, packages: list[Package], *extra: str) -> None:
    """Builds what is stale and installs these packages' wheels with what they declare, and ``extra``."""
    session.run("python", "ci/wheels.py", *(package.name for package in packages))
    wheels = [str(wheel_of(package)) for package in packages]
    local = ("--find-links", str(DIST))
    session.install(*local, *wheels, *extra)
    # A reused environment may hold older builds under the same version.
    ours = [str(wheel_of(package)) for package in PACKAGES if _installed(session, package)]
    session.install("--force-reinstall", "--no-deps", *ours)


def _installed(session: nox.Session, package: Package) -> bool:
    stem = package.distribution.replace("-", "_")
    return any(Path(session.virtualenv.location).rglob(f"site-packages/{stem}-*.dist-info"))


def pytest(report: str, *arguments: str) -> list[str]:
    """The command that runs pytest from the repository's root, with a report that ci/summary.py adds up."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    return ["python", "-m", "pytest", f"--junit-xml={REPORTS / report}.xml", *arguments]


def run_all(session: nox.Session, *commands: list[str]) -> None:
    """Runs every command, and fails at the end if one failed."""
    # NumPy and SciPy, who say what is right, have small matrices: their threads would wait for each other.
    quiet = {"OPENBLAS_NUM_THREADS": "1"}
    failed = []
    for command in commands:
        try:
            session.run(*command, env=quiet)
        except nox.command.CommandFailed:
            failed.append(" ".join(command))
    if failed:
        session.error(f"failed: {'; '.join(failed)}")


def split_posargs(session: nox.Session) -> tuple[list[Package], list[str]]:
    """The packages that the command line names, all if it names none, and the rest of its words."""
    names = [word for word in session.posargs if word in TESTED]
    rest = [word for word in session.posargs if word not in TESTED]
    return [package for package in PACKAGES if package.name in (names or TESTED)], rest


@nox.session
def demo(session: nox.Session) -> None:
    """Train a convolutional network on real images with all of atled's wheels."""
    script = ROOT / "examples" / "train_digits.py"
    requirements = nox.project.load_toml(script).get("dependencies", [])
    install(session, PACKAGES, *(name for name in requirements if not name.startswith("atled")))
    session.run("python", str(script), *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests with all wheels installed: nox -s tests -- [package...] [pytest options]."""
    packages, options = split_posargs(session)
    requirements = {requirement for package in packages for requirement in package.test_requirements}
    install(session, PACKAGES, *sorted(requirements))
    commands = [pytest(f"tests-{p.name}", str(p.tests.relative_to(ROOT)), *options) for p in packages]
    if len(packages) == len(TESTED):
        commands.insert(0, pytest("tests-ci", "ci/tests", *options))
    if not session.posargs:
        commands.append(["python", "ci/summary.py", str(REPORTS), "--prefix", "tests-"])
    run_all(session, *commands)


@nox.session
@nox.parametrize("package", TESTED, ids=TESTED)
def isolated(session: nox.Session, package: str) -> None:
    """Install one wheel alone, with its declared dependencies only, and run its tests."""
    (alone,) = (p for p in PACKAGES if p.name == package)
    install(session, [alone], *alone.test_requirements)
    tests = str(alone.tests.relative_to(ROOT))
    # The session tests has the plugins.
    options = session.posargs or [NOT_HOST_PROGRAMS, "--ignore=packages/core/tests/abi", *ONE_DTYPE]
    commands = [pytest(f"isolated-{package}", tests, *options)]
    own = ROOT / "ci" / "isolated" / f"test_{package}_alone.py"
    if own.exists():
        commands.insert(0, pytest(f"isolated-{package}-alone", str(own.relative_to(ROOT))))
    run_all(session, *commands)


@nox.session
def abi(session: nox.Session) -> None:
    """Run the sample plugin's tests, on this core and on a newer one; core's own tests have layouts and handshakes."""
    (core,) = (p for p in PACKAGES if p.name == "core")
    install(session, PACKAGES, "cmake>=3.26", "ninja>=1.11", "scikit-build-core>=0.11", *core.test_requirements)
    plugin = ROOT / "examples" / "plugin"
    session.install("--no-build-isolation", "--no-deps", "--force-reinstall", str(plugin))
    run_all(
        session,
        pytest("abi-plugin", str(plugin / "tests"), *session.posargs),
        # The plugin's library stays as it is, and so do autograd's, nn's and optim's.
        ["python", "ci/newer_core.py"],
        pytest("abi-plugin-newer-core", str(plugin / "tests"), *session.posargs),
    )


@nox.session
def lint(session: nox.Session) -> None:
    """Check formats, lint rules, and the rules of the repository itself."""
    session.install("ruff>=0.12", "clang-format>=20", "pytest>=8.0", "packaging>=24")
    run_all(
        session,
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["python", "ci/check_sources.py"],
        ["python", "ci/clang_format.py"],
    )


@nox.session
def types(session: nox.Session) -> None:
    """Check all Python with mypy --strict, against the installed wheels' stubs."""
    stubs = ["mypy>=1.17", "nox", "numpy>=2.0", "pytest>=8.0", "types-tqdm"]
    install(session, PACKAGES, *stubs)
    own = ["mypy", "noxfile.py", *map(str, sorted((ROOT / "ci").glob("*.py")))]
    session.env["MYPYPATH"] = "ci"
    run_all(session, own, *(["mypy", "-p", f"atled.{p.name}"] for p in PACKAGES if p.source.is_dir()))


@nox.session
def matrix(session: nox.Session) -> None:
    """Run every op's tests at every level of instructions, on one thread and on several."""
    packages = [p for p in PACKAGES if p.name in ("core", "nn", "optim")]
    install(session, PACKAGES, *sorted({r for package in packages for r in package.test_requirements}))
    for level in ("baseline", "avx2", "avx512"):
        for threads in ("1", "3"):
            settings = {"ATLED_CPU_LEVEL": level, "ATLED_NUM_THREADS": threads}
            for package in packages:
                tests = str((package.tests / "test_ops.py").relative_to(ROOT))
                command = pytest(f"matrix-{level}-{threads}-{package.name}", "-q", tests, *session.posargs)
                session.run(*command, env=settings, success_codes=[0, 1])
    session.run("python", "ci/summary.py", str(REPORTS), "--prefix", "matrix-")


@nox.session
def cuda(session: nox.Session) -> None:
    """Build what is for CUDA, with nvcc from PyPI where the machine has none, and test it on an emulated device."""
    names = ("core", "autograd", "nn", "optim", "distributed", "testing")
    packages = [package for package in PACKAGES if package.name in names]
    core = packages[0]
    requirements = {requirement for package in packages for requirement in package.test_requirements}
    tools = ["cmake>=3.26", "ninja>=1.11", *core.build_requirements]
    if not (shutil.which("nvcc") or Path("/usr/local/cuda/bin/nvcc").exists()):
        tools += [f"nvidia-{name}>=13.0,<14" for name in ("cuda-nvcc", "cuda-crt", "nvvm", "cuda-cccl", "cuda-runtime")]
    install(session, packages, *sorted(requirements), *tools)
    prefix = Path(session.virtualenv.location)
    (site,) = prefix.rglob("site-packages/atled/core")
    tests = str((core.tests / "cuda").relative_to(ROOT))

    def build(name: str, source: Path, target: str, *options: str) -> list[str]:
        """Builds, and returns the command that installs."""
        folder = ROOT / "build" / name
        python = f"-DPython_EXECUTABLE={prefix / 'bin' / 'python'}"
        session.run("cmake", "-G", "Ninja", "-S", str(source), "-B", str(folder), python, *options)
        session.run("cmake", "--build", str(folder), "--target", target)
        return ["cmake", "--install", str(folder), "--prefix", str(site.parents[1])]

    nanobind = str(session.run("python", "-m", "nanobind", "--cmake_dir", silent=True)).strip()
    given = session.posargs or ["-DATLED_CUDA_ARCHITECTURES=90"]
    session.env["ATLED_CUDA_QUICK"] = "ON"  # nothing here runs on a GPU
    options = ["-DATLED_CUDA=ON", *given, f"-DCMAKE_MODULE_PATH={core.folder / 'cmake'}", f"-Dnanobind_ROOT={nanobind}"]
    options += ["-DATLED_STUBS=OFF", "-DATLED_ONEDNN=OFF"]  # nothing else of the packages is built
    session.run(*build("cuda", core.folder, "libatled_cuda", *options), "--component", "cuda")
    for package in packages:
        if (package.folder / "csrc" / "cuda" / "CMakeLists.txt").exists():
            library = build(f"cuda-{package.name}", package.folder, f"libatled_{package.name}_cuda", *options)
            session.run(*library, "--component", "cuda")
    # The sample is built as a user would, against the installed wheel.
    sample = ROOT / "examples" / "plugin"
    asked = {"ATLED_CUDA": "ON", "CMAKE_ARGS": " ".join(given)}
    session.install("--no-build-isolation", "--no-deps", "--force-reinstall", str(sample), env=asked)
    real = pytest("cuda", "-q", tests, NOT_HOST_PROGRAMS)

    emulate = build("emulator", core.tests / "cuda" / "emulator", "all")
    plugins = {p.name: [str(path.relative_to(ROOT)) for path in p.tests.glob("test_cuda*.py")] for p in packages}
    plugins["sample"] = [str((sample / "tests").relative_to(ROOT))]
    session.env["ATLED_TEST_DEVICE"] = "cuda"
    cupy = ("-o", f"pythonpath={tests}/emulator/fake_cupy")
    specified = [package for package in packages if (package.tests / "test_ops.py").exists()]
    run_all(
        session,
        ["python", "ci/device_complex.py"],
        real,
        emulate,
        pytest("cuda-emulated", "-q", tests, NOT_HOST_PROGRAMS),
        *(pytest(f"cuda-emulated-{name}-kernels", "-q", *files) for name, files in plugins.items() if files),
        *(pytest(f"cuda-emulated-{p.name}", "-q", str((p.tests / "test_ops.py").relative_to(ROOT))) for p in specified),
        pytest(
            "cuda-emulated-gradients", "-q", *cupy, "packages/autograd/tests/test_rules.py", "-k", "first_and_second"
        ),
    )


@nox.session
def portable(session: nox.Session) -> None:
    """Compile the C++ below the bindings with Clang and, for 64-bit Arm, with GCC; a warning is an error."""
    session.run("python", "ci/portable.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site in docs/_build/html; a warning is an error."""
    install(session, PACKAGES, "sphinx>=8.1", "furo>=2025.1", "myst-parser>=4.0", "tensorboardX>=2.6.2")
    session.run("sphinx-build", "-W", "--keep-going", "-b", "html", "docs", "docs/_build/html", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure speed beside NumPy and PyTorch, print ratios to the budgets: nox -s bench -- [group...]."""
    install(session, PACKAGES, "numpy>=2.0", "torch==2.13.*", "matplotlib>=3.9")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run random programs: nox -s fuzz -- --gradients --torch --seconds 600 compares gradients with PyTorch's too."""
    install(session, [p for p in PACKAGES if p.name in ("core", "autograd", "nn", "optim", "testing")])
    if "--torch" in session.posargs:
        session.install("torch==2.13.*")
    session.run("python", "-W", "ignore", "-m", "atled.testing.fuzz", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Print which of PyTorch's names are there, section by section; each must be, or have a reason."""
    install(session, PACKAGES)
    session.run("python", "ci/coverage.py", *(session.posargs or ["--check"]))


@nox.session
def wheels(session: nox.Session) -> None:
    """Build every wheel into dist/ and check what it ships."""
    session.install("packaging>=24")
    session.run("python", "ci/wheels.py")
    session.run("python", "ci/check_wheels.py", str(DIST))


@nox.session
def sanitizers(session: nox.Session) -> None:
    """Run core's and autograd's tests under AddressSanitizer and UndefinedBehaviorSanitizer."""
    packages = [package for package in PACKAGES if package.name in SANITIZED]
    requirements = {requirement for package in packages for requirement in package.test_requirements}
    install(session, [p for p in PACKAGES if p.name == "testing"], *sorted(requirements))
    session.run("python", "ci/sanitize.py", *(package.name for package in packages), *session.posargs)


@nox.session(python=STABLE)
def pythons(session: nox.Session) -> None:
    """Build wheels for the stable ABI once, and run tests with every newer Python that is on the path."""
    chosen = [package for package in PACKAGES if package.name in ("core", "autograd", "nn", "optim", "testing")]
    folder = DIST / "stable"
    names = [package.name for package in chosen]
    session.run(f"python{STABLE[0]}", "ci/wheels.py", *names, "--folder", str(folder), external=True)
    requirements = {requirement for package in chosen for requirement in package.test_requirements}
    session.install("--find-links", str(folder), *sorted(requirements))
    session.install("--force-reinstall", "--no-deps", *(str(wheel_of(package, folder)) for package in chosen))
    options = session.posargs or ONE_DTYPE
    tested = [package for package in chosen if package.tests.is_dir()]
    run_all(session, *(pytest(f"python{session.python}-{p.name}", str(p.tests), *options) for p in tested))


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """Make .venv for development: all tools, and every package built in place."""
    python = ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        session.run(sys.executable, "-m", "venv", str(ROOT / ".venv"))
    ours = {package.distribution for package in PACKAGES}
    lists = [p.build_requirements + p.dependencies + p.test_requirements for p in PACKAGES]
    needed = {r for requirements in lists for r in requirements if not r.startswith(tuple(ours))}
    tools = ["clang-format>=20", "cmake>=3.26", "mypy>=1.17", "ninja>=1.11", "nox", "ruff>=0.12"]
    session.run(str(python), "-m", "pip", "install", "--quiet", *tools, *sorted(needed))
    session.run("bash", "ci/dev.sh", *(session.posargs or ["all"]), env={"ATLED_DEV_PYTHON": str(python)})
