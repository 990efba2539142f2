// Every operator of a training step alone, at the sizes of a Qwen3 model: microseconds, bytes and
// FLOPs by its own account (kernels/work_log.h), and the percent of what this machine's memory and
// products are measured to do in the same run. And a LoRA projection in its two forms: the
// adapters' part added by products of its own, or all in one over extended rows and columns.

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>

#include "base/json.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/lora_linear.h"
#include "kernels/padded_rows.h"
#include "kernels/qk_norm_rope.h"
#include "kernels/rms_norm.h"
#include "kernels/swiglu.h"
#include "kernels/work_log.h"
#include "model/presets.h"
#include "model/rope.h"
#include "trainer/device.h"

namespace {

using namespace weft;
using Body = std::function<void()>;

struct Options {
  std::string model = "0.6b";
  std::int64_t tokens = 4096;
  std::int64_t length = 1024;
  std::int64_t rank = 64;  // of all adapters on a packed matrix together, padded
  std::string dtype = "bf16";
  c10::Device device = at::kCPU;
  bool json = false;
};

class Bench {
 public:
  explicit Bench(const Options& options)
      : options_(options),
        config_(model::preset_config(options.model)),
        scratch_(options.device),
        dtype_(options.dtype == "bf16" ? at::kBFloat16 : at::kFloat) {}

  Json run() {
    measure_limits();
    norms();
    heads();
    rest_of_layer();
    head_and_optimizer();
    lora_forms();
    return results_;
  }

 private:
  [[nodiscard]] at::Tensor random(at::IntArrayRef sizes, at::ScalarType dtype) const {
    return at::randn(sizes, at::TensorOptions(at::kFloat).device(options_.device)).to(dtype);
  }
  [[nodiscard]] at::Tensor random(at::IntArrayRef sizes) const { return random(sizes, dtype_); }

  // Seconds of one call, the best of a few rounds of as many calls as make a round measurable.
  double time(const Body& body) const {
    body();
    wait();
    double best = 1e30;
    for (int round = 0; round < 5; ++round) {
      int calls = 0;
      const auto began = std::chrono::steady_clock::now();
      double seconds = 0;
      do {
        body();
        if (options_.device.is_cpu() || ++calls % 8 == 0) {
          wait();
          seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
        }
        calls += options_.device.is_cpu() ? 1 : 0;
      } while (seconds < 0.02);
      best = std::min(best, seconds / calls);
    }
    return best;
  }

  void wait() const {
    if (!options_.device.is_cpu()) {
      (void)at::zeros({1}, at::TensorOptions(options_.device)).item<float>();
    }
  }

  void measure_limits() {
    const at::Tensor from =
        at::empty({64 << 20}, at::TensorOptions(at::kFloat).device(options_.device));
    const at::Tensor to = at::empty_like(from);
    memory_rate_ = 2.0 * static_cast<double>(from.nbytes()) / time([&] { to.copy_(from); });
    constexpr std::int64_t kSide = 2048;
    const at::Tensor a = random({kSide, kSide});
    const at::Tensor b = random({kSide, kSide});
    const at::Tensor out = at::empty_like(a);
    product_rate_ =
        2.0 * kSide * kSide * kSide / time([&] { kernels::gemm(out, a, b.t(), scratch_); });
  }

  void measure(const std::string& name, const Body& body) {
    double flops = 0;
    double bytes = 0;
    {
      const kernels::WorkLog log;
      body();
      for (const kernels::Work& work : log.entries()) {
        flops += work.flops;
        bytes += static_cast<double>(work.bytes_read + work.bytes_written);
      }
    }
    const double seconds = time(body);
    const double least = std::max(flops / product_rate_, bytes / memory_rate_);
    results_.push_back({{"operator", name},
                        {"microseconds", seconds * 1e6},
                        {"bytes", bytes},
                        {"flops", flops},
                        {"gigabytes_per_second", bytes / seconds / 1e9},
                        {"gigaflops_per_second", flops / seconds / 1e9},
                        {"percent_of_limit", 100 * least / seconds}});
  }

  void norms() {
    const std::int64_t width = config_.hidden_size;
    const at::Tensor x = random({options_.tokens, width});
    const at::Tensor delta = random({options_.tokens, width});
    const at::Tensor weight = random({width}).abs().add(0.5);
    const at::Tensor y = at::empty_like(x);
    const at::Tensor rstd = random({options_.tokens}, at::kFloat);
    measure("residual add + norm",
            [&] { kernels::add_rms_norm_forward(x, delta, weight, 1e-6, y, rstd); });
    measure("norm backward", [&] { kernels::rms_norm_backward(delta, y, {}, weight, rstd, x); });
    const at::Tensor dweight = random({width}, at::kFloat);
    measure("norm backward with weight",
            [&] { kernels::rms_norm_backward(delta, y, {}, weight, rstd, x, dweight); });
  }

  void heads() {
    const kernels::HeadLayout layout{config_.num_attention_heads, config_.num_key_value_heads,
                                     config_.head_dim};
    const at::Tensor qkv = random({options_.tokens, layout.row()});
    const at::Tensor weight = random({layout.head_dim}).abs().add(0.5);
    const at::Tensor positions =
        at::arange(options_.tokens, at::TensorOptions(at::kInt).device(options_.device))
            .remainder(options_.length);
    const model::RopeTable rope =
        model::make_rope_table(config_, options_.length, at::kFloat, options_.device);
    const at::Tensor rstd = random({options_.tokens, layout.rotated()}, at::kFloat);
    measure("q/k norm + RoPE", [&] {
      kernels::qk_norm_rope_forward(qkv, layout, weight, weight, 1e-6, rope.cos, rope.sin,
                                    positions, rstd);
    });
    const at::Tensor dqkv = random(qkv.sizes());
    measure("q/k norm + RoPE backward", [&] {
      kernels::qk_norm_rope_backward(dqkv, qkv, {}, layout, weight, weight, rope.cos, rope.sin,
                                     positions, rstd);
    });
    std::vector<std::int32_t> bounds;
    for (std::int64_t row = 0; row < options_.tokens; row += options_.length) {
      bounds.push_back(static_cast<std::int32_t>(row));
    }
    bounds.push_back(static_cast<std::int32_t>(options_.tokens));
    const kernels::AttentionDocuments documents(
        bounds, kernels::make_device_attention(bounds, layout, dtype_, options_.device,
                                               options_.device.type(), {}));
    const at::Tensor out = random({options_.tokens, layout.heads_q * layout.head_dim});
    const at::Tensor dout = random(out.sizes());
    const at::Tensor lse = random({layout.heads_q * options_.tokens}, at::kFloat);
    measure("attention",
            [&] { kernels::attention_forward(qkv, layout, documents, out, lse, scratch_); });
    measure("attention backward", [&] {
      kernels::attention_backward(dout, qkv, layout, documents, out, lse, dqkv, scratch_);
    });
  }

  void rest_of_layer() {
    const std::int64_t ffn = config_.intermediate_size;
    const at::Tensor gate_up = random({options_.tokens, 2 * ffn});
    const at::Tensor hidden = random({options_.tokens, ffn});
    measure("SwiGLU", [&] { kernels::swiglu_forward(gate_up, hidden); });
    measure("SwiGLU backward", [&] { kernels::swiglu_backward(gate_up, hidden); });
    measure("dropout", [&] { kernels::dropout(hidden, 0.1, 1, 2, hidden); });
  }

  void head_and_optimizer() {
    const auto ids = at::TensorOptions(at::kLong).device(options_.device);
    const at::Tensor table = random({config_.vocab_size, config_.hidden_size});
    const at::Tensor tokens = at::randint(config_.vocab_size, {options_.tokens}, ids);
    const at::Tensor rows = random({options_.tokens, config_.hidden_size});
    measure("embedding", [&] { kernels::embedding_forward(table, tokens, rows); });
    const std::int64_t chunk = std::min<std::int64_t>(options_.tokens, 512);
    const at::Tensor logits = random({chunk, config_.vocab_size}, at::kFloat);
    const at::Tensor targets = at::randint(config_.vocab_size, {chunk}, ids);
    const at::Tensor log_probs = random({chunk}, at::kFloat);
    const at::Tensor d_logits = random({chunk, config_.vocab_size}, at::kBFloat16);
    measure("cross-entropy with gradient", [&] {
      kernels::cross_entropy_forward_backward(logits, targets, 1e-3, log_probs, d_logits);
    });
    constexpr std::int64_t kParameters = 10 << 20;
    const at::Tensor parameters = random({kParameters}, at::kFloat);
    const at::Tensor gradient = random({kParameters}, at::kFloat);
    const at::Tensor moments = at::zeros({2, kParameters}, parameters.options());
    measure("AdamW",
            [&] { kernels::adamw_step(parameters, gradient, moments[0], moments[1], {}, 1, 1.0); });
    measure("gradient norm", [&] { (void)kernels::sum_of_squares(gradient); });
  }

  // gate and up, each with half of the rank.
  void lora_forms() {
    for (const bool extended : {false, true}) {
      const std::int64_t in = config_.hidden_size;
      const std::int64_t ffn = config_.intermediate_size;
      const std::int64_t half = options_.rank / 2;
      const std::int64_t spare = extended ? kernels::lora_spare(2 * half, dtype_) : 0;
      const at::Tensor all = at::zeros({2 * ffn + spare, in + spare}, random({1}).options());
      const at::Tensor w = all.narrow(0, 0, 2 * ffn).narrow(1, 0, in);
      w.copy_(random({2 * ffn, in}));
      kernels::LoraGroup lora;
      lora.a =
          extended ? all.narrow(0, 2 * ffn, 2 * half).narrow(1, 0, in) : random({2 * half, in});
      for (const std::int64_t part : {0, 1}) {
        const at::Tensor b = extended
                                 ? all.narrow(0, part * ffn, ffn).narrow(1, in + part * half, half)
                                 : random({ffn, half});
        lora.slices.push_back({part * ffn, b, at::Tensor(), 1.0});
      }
      lora.extended = extended ? all : at::Tensor();
      time_form(extended ? "one extended product" : "a product for the adapters", lora, w);
    }
  }

  void time_form(const std::string& form, const kernels::LoraGroup& lora, const at::Tensor& w) {
    const auto rows = [&](std::int64_t width) {
      const at::Tensor all = random({options_.tokens, width + lora.spare()});
      return all.narrow(1, 0, width);
    };
    const auto inner = [&](const at::Tensor& of) {
      return lora.spare() > 0 ? kernels::behind(of, lora.spare())
                              : random({options_.tokens, lora.columns()});
    };
    const at::Tensor x = rows(w.size(1));
    const at::Tensor y = rows(w.size(0));
    const at::Tensor dx = random(x.sizes());
    const at::Tensor s = inner(x);
    const at::Tensor ds = inner(y);
    measure("LoRA gate/up, " + form, [&] {
      kernels::lora_linear_forward(x, w, lora, y, s, /*training=*/true, {}, scratch_);
    });
    measure("LoRA gate/up backward, " + form,
            [&] { kernels::lora_linear_backward_input(y, w, lora, s, ds, dx, {}, scratch_); });
  }

  Options options_;
  model::Qwen3Config config_;
  kernels::Arena scratch_;
  at::ScalarType dtype_;
  double memory_rate_ = 1;
  double product_rate_ = 1;
  Json results_ = Json::array();
};

void print(const Json& results) {
  std::puts(
      "| operator | µs | MB | GB/s | GFLOP/s | % of limit |\n| --- | --- | --- | --- | --- | --- "
      "|");
  for (const Json& r : results) {
    const auto number = [&](const char* key) { return r[key].get<double>(); };
    fmt::print("| {} | {:.1f} | {:.2f} | {:.1f} | {:.1f} | {:.0f}% |\n",
               r["operator"].get<std::string>(), number("microseconds"), number("bytes") / 1e6,
               number("gigabytes_per_second"), number("gigaflops_per_second"),
               number("percent_of_limit"));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::string device = "cpu";
  CLI::App app("The operators of a training step, one by one");
  app.add_option("--model", options.model, "a preset: 0.6b, 8b, …");
  app.add_option("--tokens", options.tokens)->check(CLI::PositiveNumber);
  app.add_option("--length", options.length, "of a document")->check(CLI::PositiveNumber);
  app.add_option("--rank", options.rank, "of a packed matrix's adapters together");
  app.add_option("--dtype", options.dtype)->check(CLI::IsMember({"fp32", "bf16"}));
  app.add_option("--device", device)->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_flag("--json", options.json);
  CLI11_PARSE(app, argc, argv);
  try {
    options.device = trainer::resolve_device(device);
    const Json results = Bench(options).run();
    options.json ? void(std::puts(dump_json(results).c_str())) : print(results);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
