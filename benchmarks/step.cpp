// One LoRA training step of weft on random weights, on a CPU or a GPU, timed beside its GEMM rate
// in the same process. Takes the options of peer_step.py and prints the same JSON object; that file
// says what is counted.

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "adapters/lora.h"
#include "base/json.h"
#include "base/random.h"
#include "kernels/fp8.h"
#include "kernels/recorded_work.h"
#include "model/flops.h"
#include "model/qwen3_model.h"
#include "trainer/device.h"
#include "trainer/optimizer.h"

namespace {

using namespace weft;

struct Options {
  std::int64_t tokens = 512;
  std::int64_t documents = 1;
  int threads = 2;
  int steps = 3;
  std::int64_t rank = 16;
  std::string dtype = "fp32";
  c10::Device device = at::kCPU;
  double labelled_fraction = 1.0;
  bool labelled_head = false;
  bool recompute = false;
  bool fp8 = false;
  bool graphs = false;
  bool not_deterministic = false;
  std::string lora_gemm = "plain";
  model::Qwen3Config config;
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A GPU works on while the host goes on; to read a number is to wait for it.
void finish(const at::Tensor& tensor) { (void)tensor.flatten()[0].item<double>(); }

at::ScalarType dtype_of(const Options& options) {
  return options.dtype == "bf16" ? at::kBFloat16 : at::kFloat;
}

double time_product(const at::Tensor& left, const at::Tensor& right, at::Tensor out) {
  double best = 1e30;
  for (int i = 0; i < 3; ++i) {
    const double began = now();
    at::mm_out(out, left, right);
    finish(out);
    best = std::min(best, now() - began);
  }
  return best;
}

// GFLOP/s of ATen's product, fp32 on a CPU and in the run's dtype on a GPU, over the model's
// shapes, forward and data gradient.
double gemm_rate(const Options& options) {
  double seconds = 0;
  double flops = 0;
  const auto add = [&](std::int64_t out, std::int64_t in, std::int64_t count) {
    const auto on = at::TensorOptions(options.device)
                        .dtype(options.device.is_cpu() ? at::kFloat : dtype_of(options));
    const at::Tensor weight = at::randn({out, in}, on);
    const at::Tensor x = at::randn({options.tokens, in}, on);
    const at::Tensor y = at::empty({options.tokens, out}, on);
    const auto times = static_cast<double>(count);
    seconds += times * (time_product(x, weight.t(), y) + time_product(y, weight, x));
    flops += times * 4.0 * static_cast<double>(out * in * options.tokens);
  };
  for (const adapters::LoraTarget target : adapters::kAllTargets) {
    const adapters::MatrixShape shape = adapters::target_shape(options.config, target);
    add(shape.out, shape.in, options.config.num_hidden_layers);
  }
  add(options.config.vocab_size, options.config.hidden_size, 1);
  return flops / seconds / 1e9;
}

// Without values on the meta device.
model::Weights random_weights(const Options& options, at::ScalarType dtype, c10::Device device,
                              const std::vector<model::LayerSpare>& spare) {
  model::Weights weights =
      model::allocate_weights(options.config, dtype, device, options.fp8, spare);
  if (device.is_meta()) {
    return weights;
  }
  for (const model::NamedWeight& named : model::named_weights(weights, options.config)) {
    if (named.scales.defined()) {
      const at::Tensor values =
          at::randn(named.view.sizes(), at::TensorOptions(dtype).device(device)) * 0.02;
      kernels::quantize_rows(values, {}, {named.view, named.scales});
    } else {
      named.is_norm ? named.view.copy_(at::ones(named.view.sizes()))
                    : named.view.normal_(0.0, 0.02);
    }
  }
  return weights;
}

model::PackedBatch make_batch(const Options& options, c10::Device device) {
  Random random(1);
  const std::int64_t length = options.tokens / options.documents;
  const auto untrained =
      length - std::lround(static_cast<double>(length) * options.labelled_fraction);
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> mask;
  std::vector<std::int32_t> bounds{0};
  for (std::int64_t i = 0; i < options.documents * length; ++i) {
    tokens.push_back(static_cast<std::int32_t>(
        random.below(static_cast<std::uint64_t>(options.config.vocab_size))));
    mask.push_back(i % length >= untrained ? 1 : 0);
    if ((i + 1) % length == 0) {
      bounds.push_back(static_cast<std::int32_t>(i + 1));
    }
  }
  return model::make_packed_batch(tokens, mask, bounds, options.config.vocab_size, device);
}

adapters::PeftConfig peft(const Options& options) {
  adapters::PeftConfig config;
  config.rank = options.rank;
  config.alpha = static_cast<double>(options.rank);
  config.target_modules = {"all"};
  return config;
}

// A model with its adapters; planned alone on the meta device.
struct Adapted {
  Adapted(const Options& options, at::ScalarType dtype, c10::Device device)
      : extended(options.lora_gemm == "extended"),
        adapters(options.config, peft(options), dtype, device),
        model(options.config,
              random_weights(options, dtype, device,
                             extended ? adapters.spare() : std::vector<model::LayerSpare>())) {
    if (extended) {
      adapters.place_in(model.weights());
    }
    model.set_adapters(adapters.layers());
    model.set_recompute(options.recompute);
    model.set_attention({.deterministic = !options.not_deterministic});
  }

  bool extended;
  adapters::LoraAdapters adapters;
  model::Qwen3Model model;
};

// Room for the passes, as a run finds it out before it starts: without it the first pass takes
// more, block by block, and that would be the peak.
void reserve_buffers(model::Qwen3Model& model, const Options& options, at::ScalarType dtype) {
  Adapted planned(options, dtype, at::kMeta);
  planned.model.plan_for(options.device.type());
  for (int pass = 0; pass < 2; ++pass) {  // the second is in one block
    (void)planned.model.forward_backward(make_batch(options, at::kMeta), 1.0, {});
  }
  model.reserve(planned.model.saved_bytes(), planned.model.scratch_bytes());
}

struct Timing {
  std::vector<double> seconds;
  std::vector<double> losses;
  std::int64_t saved_bytes = 0;
  std::int64_t scratch_bytes = 0;
};

Timing run_steps(const Options& options, at::ScalarType dtype) {
  Adapted adapted(options, dtype, options.device);
  adapters::LoraAdapters& adapters = adapted.adapters;
  model::Qwen3Model& model = adapted.model;
  adapters.initialise(1);
  if (options.graphs) {
    model.set_recorder(kernels::make_work_recorder(options.device));
  }
  if (options.device.is_cuda()) {
    reserve_buffers(model, options, dtype);
  }
  trainer::AdamWOptimizer optimizer(adapters.parameters(), {});
  const model::PackedBatch batch = make_batch(options, options.device);
  const auto targets = static_cast<double>(batch.target_count());
  Timing timing;
  // The first step finds out how much memory the buffers need; a shape is recorded when it comes
  // the second time after they have it.
  const int untimed = options.graphs ? 4 : 1;
  for (int step = 0; step < untimed + options.steps; ++step) {
    const double began = now();
    optimizer.zero_gradients();
    const double loss =
        -model.forward_backward(batch, 1.0 / targets, {}).sum(at::kDouble).item<double>() / targets;
    const double norm = optimizer.gradient_norm();
    optimizer.step(1e-4, std::min(1.0, 1.0 / (norm + 1e-6)));
    adapters.refresh();
    finish(adapters.parameters().values());
    timing.losses.push_back(loss);
    if (step >= untimed) {
      timing.seconds.push_back(now() - began);
    }
  }
  timing.saved_bytes = model.saved_bytes();
  timing.scratch_bytes = model.scratch_bytes();
  return timing;
}

double flops_of_step(const Options& options) {
  const std::int64_t length = options.tokens / options.documents;
  std::vector<std::int32_t> bounds;
  for (std::int64_t i = 0; i <= options.documents; ++i) {
    bounds.push_back(static_cast<std::int32_t>(i * length));
  }
  const double share = options.labelled_head ? options.labelled_fraction : 1.0;
  const auto head_rows =
      static_cast<std::int64_t>(std::lround(static_cast<double>(options.tokens) * share));
  const adapters::LoraAdapters adapters(options.config, peft(options), at::kFloat, at::kCPU);
  return model::training_flops(
      options.config, {options.tokens, head_rows, bounds, adapters.parameters().count(), false});
}

void run(const Options& options) {
  at::set_num_threads(options.threads);
  const double before = gemm_rate(options);
  const Timing timing = run_steps(options, dtype_of(options));
  const std::uint64_t peak = trainer::peak_memory_bytes(options.device);
  const double after = gemm_rate(options);
  std::vector<double> sorted = timing.seconds;
  std::sort(sorted.begin(), sorted.end());
  const double step = (sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2]) / 2;  // median
  const double rate = flops_of_step(options) / step / 1e9;
  const double gemm = (before + after) / 2;
  const Json result{{"program", "weft"},
                    {"lora_gemm", options.lora_gemm},
                    {"deterministic", !options.not_deterministic},
                    {"tokens_per_second", static_cast<double>(options.tokens) / step},
                    {"step_seconds", step},
                    {"steps_seconds", timing.seconds},
                    {"peak_bytes", peak},
                    {"saved_bytes", timing.saved_bytes},
                    {"scratch_bytes", timing.scratch_bytes},
                    {"gemm_gflops", gemm},
                    {"gemm_gflops_before_after", {before, after}},
                    {"step_gflops", rate},
                    {"fraction_of_gemm", rate / gemm},
                    {"losses", timing.losses}};
  std::puts(dump_json(result).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  options.config.num_hidden_layers = 28;
  options.config.hidden_size = 1024;
  options.config.intermediate_size = 3072;
  options.config.num_attention_heads = 16;
  options.config.num_key_value_heads = 8;
  options.config.head_dim = 128;
  options.config.vocab_size = 151936;
  options.config.max_position_embeddings = 40960;
  options.config.tie_word_embeddings = true;
  std::string device = "cpu";
  bool untied = false;
  CLI::App app("One LoRA training step, timed beside the machine's GEMM rate.");
  app.add_option("--tokens", options.tokens);
  app.add_option("--documents", options.documents);
  app.add_option("--device", device)->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--threads", options.threads);
  app.add_option("--steps", options.steps);
  app.add_option("--rank", options.rank);
  app.add_option("--layers", options.config.num_hidden_layers);
  app.add_option("--hidden", options.config.hidden_size);
  app.add_option("--ffn", options.config.intermediate_size);
  app.add_option("--heads", options.config.num_attention_heads);
  app.add_option("--kv-heads", options.config.num_key_value_heads);
  app.add_option("--head-dim", options.config.head_dim);
  app.add_option("--vocab", options.config.vocab_size);
  app.add_option("--dtype", options.dtype)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--labelled-fraction", options.labelled_fraction);
  app.add_flag("--labelled-head", options.labelled_head);
  app.add_flag("--untied", untied);
  app.add_flag("--recompute", options.recompute);
  auto* const fp8 = app.add_flag("--fp8", options.fp8, "as with base_dtype: fp8");
  app.add_flag("--not-deterministic", options.not_deterministic, "as with deterministic: false");
  app.add_flag("--graphs", options.graphs, "as with cuda_graphs: true");
  app.add_option("--lora-gemm", options.lora_gemm, "as in a run")
      ->check(CLI::IsMember({"plain", "extended"}))
      ->excludes(fp8);
  CLI11_PARSE(app, argc, argv);
  options.config.tie_word_embeddings = !untied;
  try {
    options.device = trainer::resolve_device(device);
    run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
