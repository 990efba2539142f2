// Plans of cuDNN attention for a described H100, as far as cuDNN goes without one: the graphs are
// validated, lowered, given an engine and compiled. What they compute is for the tests on a GPU.

#include "kernels/cuda/sdpa_cudnn.h"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "base/error.h"

namespace weft::kernels::cuda {
namespace {

using ::testing::HasSubstr;

// cuDNN's device properties, with the numbers of NVIDIA's documents for an H100 SXM; there is no
// device to ask.
std::string description_of_h100() {
  std::ifstream file(std::string(WEFT_SOURCE_DIR) + "/tests/fixtures/h100.json");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

class SdpaCudnn : public ::testing::Test {
 protected:
  void SetUp() override {
    // cuDNN asks for a driver by this name; one that is loaded already is taken.
    if (access("/dev/nvidiactl", F_OK) != 0) {
      ASSERT_NE(dlopen(WEFT_ABSENT_DRIVER, RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
    }
    const std::string reason = SdpaEngine::why_not(90);
    if (!reason.empty()) {
      GTEST_SKIP() << reason;
    }
    engine_ = SdpaEngine::for_description(description_of_h100(), 90);
  }

  std::unique_ptr<SdpaEngine> engine_;
};

struct Heads {
  std::int64_t q, k;
};
// Of Qwen3 0.6B and 1.7B, 4B and 8B, 14B, 32B.
constexpr Heads kQwen3[] = {{16, 8}, {32, 8}, {40, 8}, {64, 8}};

TEST_F(SdpaCudnn, HasAPlanForEverySizeOfQwen3) {
  for (const Heads heads : kQwen3) {
    for (const bool backward : {false, true}) {
      for (const bool deterministic : {true, false}) {
        const SdpaShape shape{2, 256, 4096, heads.q, heads.k, 128, deterministic, backward};
        EXPECT_GE(engine_->plan(shape).workspace_bytes(), 0) << heads.q << " heads";
      }
    }
  }
}

// Rows with columns behind them, as the extended form of LoRA has: a rank of 16, and three.
TEST_F(SdpaCudnn, WritesRowsThatLieInWiderOnes) {
  for (const Heads heads : kQwen3) {
    for (const bool deterministic : {true, false}) {
      SdpaShape shape{4, 512, 8192, heads.q, heads.k, 128, deterministic, true};
      const std::int64_t plain = engine_->plan(shape).workspace_bytes();
      shape.out_spare = 16;
      shape.dqkv_spare = 48;
      EXPECT_LE(engine_->plan(shape).workspace_bytes(), workspace_bound(shape)) << heads.q;
      if (deterministic) {
        EXPECT_EQ(engine_->plan(shape).workspace_bytes(), plain) << heads.q;
      }
      shape.backward = false;
      EXPECT_LE(engine_->plan(shape).workspace_bytes(), workspace_bound(shape)) << heads.q;
    }
  }
}

TEST_F(SdpaCudnn, KeepsItsPlans) {
  const SdpaShape shape{2, 256, 4096, 16, 8, 128, true, false};
  SdpaPlan& first = engine_->plan(shape);
  EXPECT_EQ(&engine_->plan(shape), &first);
  EXPECT_EQ(engine_->plans_built(), 1);
  SdpaShape other = shape;
  other.max_length = 512;
  EXPECT_NE(&engine_->plan(other), &first);
  EXPECT_EQ(engine_->plans_built(), 2);
}

// The backward pass keeps dk and dv of every query head in fp32, and the softmax's sums; a
// deterministic one the gradient of the scores, another one dq in fp32 over packed rows.
TEST_F(SdpaCudnn, TakesTheWorkspaceThatTheMemoryPlanCountsOn) {
  for (const Heads heads : kQwen3) {
    for (const bool deterministic : {true, false}) {
      const SdpaShape shape{4, 512, 8192, heads.q, heads.k, 128, deterministic, true};
      EXPECT_LE(engine_->plan(shape).workspace_bytes(), workspace_bound(shape)) << heads.q;
      EXPECT_GE(engine_->plan(shape).workspace_bytes(), workspace_bound(shape) / 2) << heads.q;
    }
    const SdpaShape forward{4, 512, 8192, heads.q, heads.k, 128, true, false};
    EXPECT_LE(engine_->plan(forward).workspace_bytes(), workspace_bound(forward));
  }
}

TEST_F(SdpaCudnn, SaysWhyAShapeHasNoPlan) {
  const SdpaShape odd{2, 256, 4096, 16, 8, 100, true, false};
  try {
    (void)engine_->plan(odd);
    FAIL() << "a head of 100 elements has no kernel";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("cuDNN attention: "));
  }
  EXPECT_EQ(engine_->plans_built(), 0);
}

TEST_F(SdpaCudnn, RefusesToRunWithoutADevice) {
  SdpaPlan& plan = engine_->plan({2, 256, 4096, 16, 8, 128, true, false});
  EXPECT_THROW(plan.run(SdpaForward{}, nullptr, nullptr), Error);
}

TEST(SdpaEngine, SaysWhatItNeeds) {
  EXPECT_THAT(SdpaEngine::why_not(80), HasSubstr("compute capability 8.0"));
  EXPECT_THAT(SdpaEngine::why_not(120), HasSubstr("compute capability 12.0"));
}

}  // namespace
}  // namespace weft::kernels::cuda
