// Passes launched from a recording. The recorder here keeps the body and runs it again with what it
// was bound to, as a CUDA graph launches again with the addresses that it has.

#include "model/recorded_passes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "fixture.h"
#include "model/qwen3_model.h"

namespace weft {
namespace {

class Repeated final : public kernels::RecordedWork {
 public:
  explicit Repeated(std::function<void()> body) : body_(std::move(body)) {}
  void replay() override { body_(); }

 private:
  std::function<void()> body_;
};

class FakeRecorder final : public kernels::WorkRecorder {
 public:
  std::unique_ptr<kernels::RecordedWork> record(const std::function<void()>& body) override {
    ++asked;
    return refuses ? nullptr : std::make_unique<Repeated>(body);
  }
  int asked = 0;
  bool refuses = false;
};

model::PackedBatch batch_of(const std::vector<std::int32_t>& bounds, std::uint64_t seed) {
  constexpr std::int64_t kVocabulary = 128;  // the fixtures have more
  Random random(seed);
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> mask;
  for (std::int32_t i = 0; i < bounds.back(); ++i) {
    tokens.push_back(static_cast<std::int32_t>(random.below(kVocabulary)));
    mask.push_back(static_cast<std::uint8_t>(random.below(2)));
  }
  mask[1] = 1;
  return model::make_packed_batch(tokens, mask, bounds, kVocabulary, at::kCPU);
}

// A model that trains all its weights, with a recorder or without.
struct Training {
  explicit Training(const std::shared_ptr<FakeRecorder>& recorder, bool recompute = false)
      : model(test::load_model(test::model_fixtures().front(), at::kFloat)) {
    gradients = model::make_weights(
        model.config(), [](const std::string&, const std::vector<std::int64_t>& shape, bool) {
          return at::zeros(shape, at::TensorOptions(at::kFloat));
        });
    model.set_weight_gradients(gradients);
    model.set_recompute(recompute);
    model.set_recorder(recorder);
  }

  // Log-probabilities and then all gradients, which go on from pass to pass.
  std::vector<at::Tensor> pass(const model::PackedBatch& batch) {
    std::vector<at::Tensor> all{model.forward_backward(batch, 0.125, {})};
    for (const auto& named : model::named_weights(gradients, model.config())) {
      all.push_back(named.view.clone());
    }
    return all;
  }

  model::Qwen3Model model;
  model::Weights gradients;
};

void expect_equal_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(a[i].equal(b[i])) << "tensor " << i;
  }
}

const std::vector<std::int32_t> kShort{0, 5, 12};
const std::vector<std::int32_t> kLong{0, 40};

TEST(RecordedPasses, GiveTheBitsOfPassesThatAreNot) {
  for (const bool recompute : {false, true}) {
    const auto recorder = std::make_shared<FakeRecorder>();
    Training recorded(recorder, recompute);
    Training plain(nullptr, recompute);
    std::uint64_t seed = 0;
    for (const auto* bounds : {&kLong, &kShort, &kLong, &kShort, &kShort, &kLong, &kLong}) {
      const model::PackedBatch batch = batch_of(*bounds, ++seed);
      expect_equal_bits(recorded.pass(batch), plain.pass(batch));
    }
    EXPECT_EQ(recorder->asked, 4) << "two shapes, forward and backward";
    EXPECT_EQ(recorded.model.replayed_passes(), 5);
    EXPECT_EQ(plain.model.replayed_passes(), 0);
  }
}

TEST(RecordedPasses, LeaveTheCallersBatchesAsTheyAre) {
  const auto recorder = std::make_shared<FakeRecorder>();
  Training recorded(recorder);
  Training plain(nullptr);
  const model::PackedBatch first = batch_of(kShort, 1);
  const model::PackedBatch second = batch_of(kShort, 2);
  for (const model::PackedBatch* batch : {&first, &first, &second, &first, &second}) {
    expect_equal_bits(recorded.pass(*batch), plain.pass(*batch));
  }
}

// Another batch may make a buffer grow, which moves it: the old addresses are worth nothing then.
TEST(RecordedPasses, AreMadeAnewWhenTheBuffersMove) {
  const auto recorder = std::make_shared<FakeRecorder>();
  Training recorded(recorder);
  Training plain(nullptr);
  const auto both = [&](const model::PackedBatch& batch) {
    expect_equal_bits(recorded.pass(batch), plain.pass(batch));
  };
  for (const std::uint64_t seed : {1, 2, 3}) {
    both(batch_of(kShort, seed));
  }
  const int asked = recorder->asked;
  EXPECT_GT(asked, 0);
  // Over a block of a megabyte: the next reset merges the blocks.
  const std::vector<std::int32_t> grown{0, 3000};
  (void)recorded.model.target_log_probs(batch_of(grown, 4));
  (void)recorded.model.target_log_probs(batch_of(grown, 5));
  for (const std::uint64_t seed : {6, 7, 8}) {
    both(batch_of(kShort, seed));
  }
  EXPECT_GT(recorder->asked, asked);
}

// A longer document needs a longer table of rotations, at another address, though all buffers stay.
TEST(RecordedPasses, AreMadeAnewWhenTheTableOfRotationsGrows) {
  const auto recorder = std::make_shared<FakeRecorder>();
  Training recorded(recorder);
  const std::vector<std::int32_t> wide{0, 700, 1400, 2100};
  const std::vector<std::int32_t> longer{0, 1030};
  for (const std::uint64_t seed : {1, 2}) {
    (void)recorded.pass(batch_of(wide, seed));
  }
  for (const std::uint64_t seed : {3, 4, 5}) {
    (void)recorded.pass(batch_of(kShort, seed));
  }
  const std::int64_t replayed = recorded.model.replayed_passes();
  const int asked = recorder->asked;
  const std::int64_t saved = recorded.model.saved_bytes();
  const std::int64_t scratch = recorded.model.scratch_bytes();
  (void)recorded.pass(batch_of(longer, 6));
  EXPECT_EQ(recorded.model.saved_bytes(), saved);
  EXPECT_EQ(recorded.model.scratch_bytes(), scratch);
  for (const std::uint64_t seed : {7, 8, 9}) {
    (void)recorded.pass(batch_of(kShort, seed));
  }
  EXPECT_EQ(recorder->asked, asked + 2);  // forward and backward, once more
  EXPECT_EQ(recorded.model.replayed_passes(), replayed + 2);
}

TEST(RecordedPasses, AreNotUsedWithDropout) {
  const auto recorder = std::make_shared<FakeRecorder>();
  Training training(recorder);
  std::vector<model::LayerAdapters> adapters(training.model.weights().layers.size());
  adapters.back().o.dropout = 0.1;
  training.model.set_adapters(adapters);
  for (const std::uint64_t seed : {1, 2, 3}) {
    (void)training.pass(batch_of(kShort, seed));
  }
  EXPECT_EQ(recorder->asked, 0);
}

TEST(RecordedPasses, ARecorderThatRefusesIsAskedOnce) {
  const auto recorder = std::make_shared<FakeRecorder>();
  recorder->refuses = true;
  Training recorded(recorder);
  Training plain(nullptr);
  for (const std::uint64_t seed : {1, 2, 3, 4}) {
    const model::PackedBatch batch = batch_of(kShort, seed);
    expect_equal_bits(recorded.pass(batch), plain.pass(batch));
  }
  EXPECT_EQ(recorder->asked, 1);
  EXPECT_EQ(recorded.model.replayed_passes(), 0);
  EXPECT_FALSE(recorded.model.records_passes()) << "batches are filled up for nothing";
}

// Three shapes in turn with room for two: the one that was not used for longest goes.
TEST(RecordedPasses, TheOldestShapeIsForgotten) {
  const auto recorder = std::make_shared<FakeRecorder>();
  model::RecordedPasses passes(recorder, /*capacity=*/2);
  const at::Tensor rows = at::zeros({1});
  const auto find = [&](std::int32_t tokens) {
    const model::PackedBatch batch = batch_of({0, tokens}, 1);
    model::LayerPass pass;
    pass.context.batch = &batch;
    pass.x = pass.delta = pass.dx = rows;
    const auto nothing = [](model::LayerPass&) {};
    return passes.find(pass, nothing, nothing) != nullptr;
  };
  for (const std::int32_t tokens : {2, 3, 4}) {
    EXPECT_FALSE(find(tokens)) << "the first of its shape";
  }
  EXPECT_TRUE(find(2));
  EXPECT_TRUE(find(3));
  EXPECT_TRUE(find(2));
  EXPECT_EQ(recorder->asked, 4);
  EXPECT_TRUE(find(4));  // instead of 3
  EXPECT_EQ(passes.size(), 2U);
  EXPECT_TRUE(find(2));
  EXPECT_EQ(recorder->asked, 6);
  EXPECT_TRUE(find(3));
  EXPECT_EQ(recorder->asked, 8);
  passes.clear();
  EXPECT_EQ(passes.size(), 0U);
  EXPECT_FALSE(find(2));
}

TEST(RecordedPasses, BuffersAtOtherAddressesAreAnError) {
  model::RecordedPasses passes(std::make_shared<FakeRecorder>());
  const model::PackedBatch batch = batch_of({0, 3}, 1);
  const auto nothing = [](model::LayerPass&) {};
  const auto find = [&](const at::Tensor& rows) {
    model::LayerPass pass;
    pass.context.batch = &batch;
    pass.x = pass.delta = pass.dx = rows;
    return passes.find(pass, nothing, nothing);
  };
  const at::Tensor here = at::zeros({1});
  const at::Tensor there = at::zeros({1});
  EXPECT_EQ(find(here), nullptr);
  EXPECT_NE(find(here), nullptr);
  EXPECT_THROW((void)find(there), Error);
}

}  // namespace
}  // namespace weft
