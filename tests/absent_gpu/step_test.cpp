// Training steps of a model on the stand-in: what a GPU would be asked to do.

#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include <numeric>
#include <sstream>

#include "adapters/lora.h"
#include "kernels/recorded_work.h"
#include "kernels/work_log.h"
#include "model/qwen3_model.h"
#include "tests/absent_gpu/counting.h"
#include "trainer/device.h"
#include "trainer/optimizer.h"

namespace weft {
namespace {

struct Form {
  const char* name;
  bool recompute = false;
  bool fp8 = false;
  bool extended = false;
  double dropout = 0.0;
  const char* attention = "auto";
};

void PrintTo(const Form& form, std::ostream* out) { *out << form.name; }

model::Qwen3Config small_config() {
  model::Qwen3Config config;
  config.num_hidden_layers = 3;
  config.hidden_size = 256;
  config.intermediate_size = 768;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 128;
  config.vocab_size = 4096;
  config.max_position_embeddings = 4096;
  config.tie_word_embeddings = true;
  return config;
}

// Three documents, the first quarter of each not trained.
model::PackedBatch batch_on(c10::Device device, std::int64_t vocab_size) {
  const std::vector<std::int32_t> bounds{0, 700, 1000, 2048};
  std::vector<std::int32_t> tokens(2048);
  std::iota(tokens.begin(), tokens.end(), 0);
  std::vector<std::uint8_t> mask(tokens.size(), 1);
  std::fill(mask.begin(), mask.begin() + 512, std::uint8_t{0});
  return model::make_packed_batch(tokens, mask, bounds, vocab_size, device);
}

class AbsentGpuStep : public ::testing::TestWithParam<Form> {
 protected:
  AbsentGpuStep() {
    const Form form = GetParam();
    adapters::PeftConfig peft;
    peft.rank = 16;
    peft.alpha = 32;
    peft.dropout = form.dropout;
    peft.target_modules = {"all"};
    adapters_ = std::make_unique<adapters::LoraAdapters>(config_, peft, at::kBFloat16, device_);
    model::Weights weights = model::allocate_weights(
        config_, at::kBFloat16, device_, form.fp8,
        form.extended ? adapters_->spare() : std::vector<model::LayerSpare>());
    for (const model::NamedWeight& named : model::named_weights(weights, config_)) {
      if (named.is_norm) {
        named.view.copy_(at::ones(named.view.sizes()));
      }
    }
    model_ = std::make_unique<model::Qwen3Model>(config_, std::move(weights));
    if (form.extended) {
      adapters_->place_in(model_->weights());
    }
    model_->set_adapters(adapters_->layers());
    model_->set_recompute(form.recompute);
    model_->set_attention({form.attention, true});
    optimizer_ =
        std::make_unique<trainer::AdamWOptimizer>(adapters_->parameters(), kernels::AdamWOptions{});
    batch_ = batch_on(device_, config_.vocab_size);
  }

  void pass() {
    const double scale = 1.0 / static_cast<double>(batch_.target_count());
    (void)model_->forward_backward(batch_, scale, {.dropout_seed = 1});
  }

  const c10::Device device_{trainer::resolve_device("cuda")};
  const model::Qwen3Config config_ = small_config();
  std::unique_ptr<adapters::LoraAdapters> adapters_;
  std::unique_ptr<model::Qwen3Model> model_;
  std::unique_ptr<trainer::AdamWOptimizer> optimizer_;
  model::PackedBatch batch_;
};

// How often the device was asked for that.
std::uint64_t times(const std::string& name) {
  std::istringstream lines(test::asked_for());
  std::uint64_t count = 0;
  std::string rest;
  while (lines >> count && std::getline(lines, rest)) {
    if (rest == " " + name) {
      return count;
    }
  }
  return 0;
}

TEST_P(AbsentGpuStep, AsksForWhatTheRooflineCounts) {
  pass();
  pass();  // plans are built, buffers have their sizes
  test::reset_counts();
  const kernels::WorkLog log;
  pass();
  int counted = 0;
  std::string listed;
  for (const kernels::Work& work : log.entries()) {
    counted += work.launches;
    listed += std::to_string(work.launches) + " " + work.name + "\n";
  }
  const WeftAbsentGpuCounts asked = test::counts();
  EXPECT_EQ(asked.faults, 0u) << test::first_fault();
  EXPECT_EQ(asked.host_waits, 0u);
  // The tables of attention come from the host, beside what the device does.
  const std::uint64_t from_host = times("copy to the device");
  EXPECT_LE(from_host, 2u);
  EXPECT_EQ(asked.launches + asked.products + asked.attentions + asked.copies + asked.sets,
            static_cast<std::uint64_t>(counted) + from_host)
      << test::asked_for() << listed;
}

INSTANTIATE_TEST_SUITE_P(
    Forms, AbsentGpuStep,
    ::testing::Values(Form{"plain"}, Form{"recompute", true}, Form{"fp8", false, true},
                      Form{"extended", false, false, true},
                      Form{"dropout", false, false, false, 0.1},
                      Form{"flash", false, false, false, 0.0, "flash"},
                      Form{"extended_flash", false, false, true, 0.0, "flash"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace weft
