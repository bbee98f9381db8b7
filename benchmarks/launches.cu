// What launching a kernel costs the host, whoever asks for it: nvcc -O2 -o launches benchmarks/launches.cu &&
// ./launches
//
// The floor under "launch of a tiny ..." in the table of device cuda. For each way: nanoseconds a kernel that does
// nothing, of the best of 25 rounds of 512 launches; first until the last is handed over, then until all have run.
#include <cuda.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

namespace {

constexpr int kLaunches = 512, kRounds = 25, kNodes = 32;

struct Few {
  void* pointers[3];
  long long n;
};
struct Many {
  void* pointers[50];
};

template <class T>
__global__ void nothing(T) {}

void expect(cudaError_t status) {
  if (status == cudaSuccess) return;
  std::fprintf(stderr, "%s\n", cudaGetErrorString(status));
  std::exit(1);
}

void measure(const char* way, cudaStream_t stream, const std::function<void()>& call, int kernels = 1) {
  using Clock = std::chrono::steady_clock;
  double handed = 1e30, run = 1e30;
  for (int round = 0; round < kRounds; ++round) {
    const auto begin = Clock::now();
    for (int i = 0; i < kLaunches; i += kernels) call();
    const auto middle = Clock::now();
    expect(cudaStreamSynchronize(stream));
    const auto end = Clock::now();
    const auto each = [&](Clock::duration d) {
      return std::chrono::duration<double, std::nano>(d).count() / kLaunches;
    };
    handed = std::min(handed, each(middle - begin));
    run = std::min(run, each(end - begin));
  }
  std::printf("%-62s %7.0f %7.0f\n", way, handed, run);
}

template <class T>
void launch(cudaStream_t stream, T arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = 1;
  config.blockDim = 256;
  config.stream = stream;
  expect(cudaLaunchKernelEx(&config, nothing<T>, arguments));
}

}  // namespace

int main() {
  cudaStream_t own;
  expect(cudaStreamCreateWithFlags(&own, cudaStreamNonBlocking));
  measure("default stream, 32 bytes", nullptr, [] { launch(nullptr, Few{}); });
  measure("default stream, 400 bytes", nullptr, [] { launch(nullptr, Many{}); });
  measure("a stream of its own, 32 bytes", own, [&] { launch(own, Few{}); });

  cudaFunction_t function;
  expect(cudaGetFuncBySymbol(&function, reinterpret_cast<const void*>(nothing<Few>)));
  void* entry = nullptr;
  cudaDriverEntryPointQueryResult found;
  expect(cudaGetDriverEntryPointByVersion("cuLaunchKernel", &entry, 12000, cudaEnableDefault, &found));
  const auto driver = reinterpret_cast<decltype(&cuLaunchKernel)>(entry);
  Few arguments{};
  void* list[] = {&arguments};
  measure("the driver's call, default stream", nullptr, [&] {
    if (driver(reinterpret_cast<CUfunction>(function), 1, 1, 1, 256, 1, 1, 0, nullptr, list, nullptr)) std::exit(1);
  });

  // A chain of kernels as a graph: launched as it is, and with the arguments of each changed before.
  cudaGraph_t graph;
  cudaGraphExec_t ready;
  cudaGraphNode_t nodes[kNodes];
  cudaKernelNodeParams parameters{};
  parameters.func = reinterpret_cast<void*>(nothing<Few>);
  parameters.gridDim = 1;
  parameters.blockDim = 256;
  parameters.kernelParams = list;
  expect(cudaGraphCreate(&graph, 0));
  for (int i = 0; i < kNodes; ++i)
    expect(cudaGraphAddKernelNode(&nodes[i], graph, i ? &nodes[i - 1] : nullptr, i ? 1 : 0, &parameters));
  expect(cudaGraphInstantiate(&ready, graph, 0));
  measure("a graph of 32, as it is", own, [&] { expect(cudaGraphLaunch(ready, own)); }, kNodes);
  long long count = 0;
  measure(
      "a graph of 32, each with other arguments", own,
      [&] {
        for (const cudaGraphNode_t node : nodes) {
          arguments.n = ++count;
          expect(cudaGraphExecKernelNodeSetParams(ready, node, &parameters));
        }
        expect(cudaGraphLaunch(ready, own));
      },
      kNodes);
  return 0;
}
