// What the stand-in for a GPU refuses. Each test is a mistake that a program could make.

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>

#include <vector>

#include "tests/absent_gpu/counting.h"

extern "C" {
void** __cudaRegisterFatBinary(void*);
void __cudaRegisterFunction(void**, const char*, char*, const char*, int, void*, void*, void*,
                            void*, int*);
}

namespace weft {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class AbsentGpuRules : public ::testing::Test {
 protected:
  void SetUp() override { test::reset_counts(); }
  void TearDown() override { (void)cudaGetLastError(); }

  static void* device_memory(std::size_t bytes) {
    void* data = nullptr;
    EXPECT_EQ(cudaMalloc(&data, bytes), cudaSuccess);
    return data;
  }
  static cudaStream_t stream() {
    cudaStream_t made = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), cudaSuccess);
    return made;
  }
  // A kernel of that name, for launches.
  static const void* kernel(const char* name) {
    static char functions[8];
    static int next = 0;
    const char* const function = &functions[next++];
    __cudaRegisterFunction(__cudaRegisterFatBinary(nullptr), function, nullptr, name, -1, nullptr,
                           nullptr, nullptr, nullptr, nullptr);
    return function;
  }
  static cudaError_t launch(const void* function, unsigned blocks, unsigned threads,
                            std::size_t shared = 0, cudaStream_t on = nullptr) {
    return cudaLaunchKernel(function, dim3(blocks), dim3(threads), nullptr, shared, on);
  }
};

TEST_F(AbsentGpuRules, MemoryEndsWhereTheDevicesDoes) {
  std::size_t free = 0;
  std::size_t total = 0;
  ASSERT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  void* data = nullptr;
  EXPECT_EQ(cudaMalloc(&data, free + 4096), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  ASSERT_EQ(cudaMalloc(&data, free), cudaSuccess);
  EXPECT_EQ(test::counts().peak_bytes, total);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_EQ(test::counts().faults, 0u);
}

TEST_F(AbsentGpuRules, CopiesBringWhatWasSent) {
  const std::vector<int> sent{1, 2, 3, 4};
  std::vector<int> back(4);
  void* const data = device_memory(16);
  void* const other = device_memory(16);
  ASSERT_EQ(cudaMemcpy(data, sent.data(), 16, cudaMemcpyHostToDevice), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(other, data, 16, cudaMemcpyDeviceToDevice, nullptr), cudaSuccess);
  ASSERT_EQ(cudaMemcpyAsync(back.data(), other, 16, cudaMemcpyDefault, nullptr), cudaSuccess);
  EXPECT_EQ(back, sent);
  EXPECT_EQ(test::counts().copies, 3u);
  EXPECT_EQ(test::counts().host_waits, 2u);  // to the host, and without Async
  EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
  EXPECT_EQ(test::counts().host_waits, 2u);  // there is nothing to wait for
}

TEST_F(AbsentGpuRules, ACopyBehindTheEndOfItsMemory) {
  void* const data = device_memory(16);
  const std::vector<char> host(32);
  EXPECT_EQ(cudaMemcpy(data, host.data(), 17, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_THAT(test::first_fault(), HasSubstr("target of a copy"));
  EXPECT_EQ(cudaMemset(static_cast<char*>(data) + 8, 0, 9), cudaErrorInvalidValue);
  EXPECT_EQ(test::counts().faults, 2u);
}

TEST_F(AbsentGpuRules, ACopyInTheWrongDirection) {
  char host[16] = {};
  EXPECT_EQ(cudaMemcpy(device_memory(16), host, 16, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_THAT(test::first_fault(), HasSubstr("direction"));
}

TEST_F(AbsentGpuRules, MemoryThatIsGivenBackTwice) {
  void* const data = device_memory(16);
  EXPECT_EQ(cudaFree(data), cudaSuccess);
  EXPECT_EQ(cudaFree(data), cudaErrorInvalidValue);
  EXPECT_THAT(test::first_fault(), HasSubstr("cudaFree"));
}

TEST_F(AbsentGpuRules, LaunchesThatNoDeviceTakes) {
  const void* const function = kernel("some_kernel");
  EXPECT_EQ(launch(function, 1, 1024), cudaSuccess);
  EXPECT_EQ(launch(function, 1, 1025), cudaErrorInvalidConfiguration);
  EXPECT_THAT(test::first_fault(), HasSubstr("some_kernel"));
  EXPECT_EQ(launch(function, 0, 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(launch(function, 1, 32, 64 << 10), cudaErrorInvalidConfiguration);
  ASSERT_EQ(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10),
            cudaSuccess);
  EXPECT_EQ(launch(function, 1, 32, 64 << 10), cudaSuccess);
  EXPECT_EQ(cudaFuncSetAttribute(function, cudaFuncAttributeMaxDynamicSharedMemorySize, 256 << 10),
            cudaErrorInvalidValue);
  EXPECT_EQ(test::counts().launches, 2u);
}

TEST_F(AbsentGpuRules, ARecordingCountsWhenItIsLaunched) {
  const void* const function = kernel("recorded_kernel");
  const cudaStream_t on = stream();
  ASSERT_EQ(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(launch(function, 1, 32, 0, on), cudaSuccess);
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(on, &graph), cudaSuccess);
  EXPECT_EQ(test::counts().launches, 0u);
  cudaGraphExec_t exec = nullptr;
  ASSERT_EQ(cudaGraphInstantiateWithFlags(&exec, graph, 0), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, on), cudaSuccess);
  EXPECT_EQ(cudaGraphLaunch(exec, on), cudaSuccess);
  EXPECT_EQ(test::counts().launches, 2u);
  EXPECT_EQ(test::counts().graph_launches, 2u);
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

TEST_F(AbsentGpuRules, AWaitWhileWorkIsRecordedVoidsTheRecording) {
  const cudaStream_t on = stream();
  ASSERT_EQ(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(on), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(on, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_THAT(test::first_fault(), HasSubstr("recorded"));
}

TEST_F(AbsentGpuRules, MemoryIsTakenWhileWorkIsRecordedOnlyWhereTheThreadSaysSo) {
  const cudaStream_t on = stream();
  void* data = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  ASSERT_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&data, 16), cudaSuccess);
  ASSERT_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&data, 16), cudaErrorStreamCaptureUnsupported);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(on, &graph), cudaErrorStreamCaptureInvalidated);
}

TEST_F(AbsentGpuRules, AStreamThatJoinsARecordingMustBeWaitedFor) {
  const cudaStream_t on = stream();
  const cudaStream_t beside = stream();
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  cudaGraph_t graph = nullptr;
  for (const bool waits : {true, false}) {
    ASSERT_EQ(cudaStreamBeginCapture(on, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(event, on), cudaSuccess);
    ASSERT_EQ(cudaStreamWaitEvent(beside, event, 0), cudaSuccess);
    ASSERT_EQ(cudaEventRecord(event, beside), cudaSuccess);
    if (waits) {
      ASSERT_EQ(cudaStreamWaitEvent(on, event, 0), cudaSuccess);
    }
    EXPECT_EQ(cudaStreamEndCapture(on, &graph),
              waits ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
  }
  EXPECT_THAT(test::first_fault(), HasSubstr("not waited for"));
}

TEST_F(AbsentGpuRules, TheDefaultStreamIsNotRecorded) {
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeThreadLocal),
            cudaErrorStreamCaptureUnsupported);
}

TEST_F(AbsentGpuRules, AnEventAfterItsEnd) {
  cudaEvent_t event = nullptr;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, 0), cudaSuccess);
  ASSERT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(event, nullptr), cudaErrorInvalidResourceHandle);
}

// C [m, n] = A [m, k] B [k, n], column-major, as cuBLAS has them.
class AbsentGpuProduct : public AbsentGpuRules {
 protected:
  AbsentGpuProduct() { EXPECT_EQ(cublasCreate_v2(&handle_), CUBLAS_STATUS_SUCCESS); }
  ~AbsentGpuProduct() override { (void)cublasDestroy_v2(handle_); }

  cublasStatus_t multiply(int lda, cudaDataType type, cudaDataType sum, int n = 8) {
    const float one = 1;
    return cublasGemmEx(handle_, CUBLAS_OP_N, CUBLAS_OP_N, 4, n, 2, &one, a_, type, lda, b_, type,
                        2, &one, c_, sum, 4, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  }

  cublasHandle_t handle_ = nullptr;
  void* a_ = device_memory(4 * 2 * 2);
  void* b_ = device_memory(2 * 8 * 2);
  void* c_ = device_memory(4 * 8 * 4);
};

TEST_F(AbsentGpuProduct, IsCountedByItsShape) {
  EXPECT_EQ(multiply(4, CUDA_R_16BF, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(test::counts().products, 1u);
  EXPECT_THAT(test::asked_for(), HasSubstr("1 product cublas bf16 x bf16 -> f32, m 4 n 8 k 2"));
  EXPECT_THAT(test::first_fault(), IsEmpty());
}

TEST_F(AbsentGpuProduct, OfTypesThatCublasDoesNotMultiply) {
  EXPECT_EQ(multiply(4, CUDA_R_16BF, CUDA_R_16F), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_THAT(test::first_fault(), HasSubstr("no product of bf16 and bf16 into f16"));
}

TEST_F(AbsentGpuProduct, WithALeadingDimensionBelowItsRows) {
  EXPECT_EQ(multiply(3, CUDA_R_16BF, CUDA_R_32F), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_THAT(test::first_fault(), HasSubstr("leading dimension of 3 for 4 rows"));
}

TEST_F(AbsentGpuProduct, BehindTheEndOfItsMemory) {
  EXPECT_EQ(multiply(4, CUDA_R_16BF, CUDA_R_32F, 9), CUBLAS_STATUS_NOT_SUPPORTED);
  EXPECT_THAT(test::first_fault(), HasSubstr("second factor"));
}

TEST_F(AbsentGpuProduct, Of8BitFloatsWhoseRowsAreNotMultiplesOf16) {
  cublasLtMatmulDesc_t operation = nullptr;
  ASSERT_EQ(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
            CUBLAS_STATUS_SUCCESS);
  const cublasOperation_t transposed = CUBLAS_OP_T;
  const auto found = [&](std::uint64_t k) {
    cublasLtMatrixLayout_t a = nullptr;
    cublasLtMatrixLayout_t d = nullptr;
    (void)cublasLtMatrixLayoutCreate(&a, CUDA_R_8F_E4M3, k, 16, static_cast<std::int64_t>(k));
    (void)cublasLtMatrixLayoutCreate(&d, CUDA_R_16BF, 16, 16, 16);
    cublasLtMatmulHeuristicResult_t result;
    int count = 0;
    (void)cublasLtMatmulAlgoGetHeuristic(nullptr, operation, a, a, d, d, nullptr, 1, &result,
                                         &count);
    return count;
  };
  EXPECT_EQ(found(32), 0);  // neither factor is transposed
  ASSERT_EQ(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                           sizeof transposed),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(found(32), 1);
  EXPECT_EQ(found(40), 0);
}

}  // namespace
}  // namespace weft
