#include "model/weights.h"

#include <ATen/ops/empty.h>

#include <cstring>

#include "base/error.h"
#include "base/progress.h"
#include "base/text.h"

namespace weft::model {
namespace {

constexpr std::uint64_t kPieceElements = std::uint64_t{4} << 20;

DType file_dtype(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return DType::kFloat32;
    case at::kBFloat16:
      return DType::kBFloat16;
    case at::kDouble:
      return DType::kFloat64;
    default:
      fail_internal("weights can't be held as {}", c10::toString(dtype));
  }
}

}  // namespace

std::vector<NamedWeight> named_weights(const Weights& weights, const Qwen3Config& config) {
  std::vector<NamedWeight> named;
  const std::int64_t q_rows = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_rows = config.num_key_value_heads * config.head_dim;
  const std::int64_t ffn = config.intermediate_size;
  const auto rows = [](const at::Tensor& packed, std::int64_t first, std::int64_t count) {
    return packed.defined() ? packed.narrow(0, first, count) : packed;
  };
  named.push_back({"model.embed_tokens.weight", weights.embed});
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    const LayerWeights& layer = weights.layers[i];
    const std::string prefix = fmt::format("model.layers.{}.", i);
    named.push_back({prefix + "input_layernorm.weight", layer.input_norm, true});
    named.push_back({prefix + "self_attn.q_proj.weight", rows(layer.qkv, 0, q_rows)});
    named.push_back({prefix + "self_attn.k_proj.weight", rows(layer.qkv, q_rows, kv_rows)});
    named.push_back(
        {prefix + "self_attn.v_proj.weight", rows(layer.qkv, q_rows + kv_rows, kv_rows)});
    named.push_back({prefix + "self_attn.o_proj.weight", layer.o});
    named.push_back({prefix + "self_attn.q_norm.weight", layer.q_norm, true});
    named.push_back({prefix + "self_attn.k_norm.weight", layer.k_norm, true});
    named.push_back({prefix + "post_attention_layernorm.weight", layer.post_norm, true});
    named.push_back({prefix + "mlp.gate_proj.weight", rows(layer.gate_up, 0, ffn)});
    named.push_back({prefix + "mlp.up_proj.weight", rows(layer.gate_up, ffn, ffn)});
    named.push_back({prefix + "mlp.down_proj.weight", layer.down});
  }
  named.push_back({"model.norm.weight", weights.final_norm, true});
  if (!config.tie_word_embeddings) {
    named.push_back({"lm_head.weight", weights.head});
  }
  return named;
}

Weights make_weights(const Qwen3Config& config, const MakeTensor& make) {
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t q_rows = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_rows = config.num_key_value_heads * config.head_dim;
  Weights weights;
  weights.embed = make("embed_tokens", {config.vocab_size, hidden}, false);
  for (std::int64_t i = 0; i < config.num_hidden_layers; ++i) {
    const std::string prefix = fmt::format("layers.{}.", i);
    LayerWeights layer;
    layer.input_norm = make(prefix + "input_layernorm", {hidden}, true);
    layer.qkv = make(prefix + "qkv_proj", {q_rows + 2 * kv_rows, hidden}, false);
    layer.q_norm = make(prefix + "q_norm", {config.head_dim}, true);
    layer.k_norm = make(prefix + "k_norm", {config.head_dim}, true);
    layer.o = make(prefix + "o_proj", {hidden, q_rows}, false);
    layer.post_norm = make(prefix + "post_attention_layernorm", {hidden}, true);
    layer.gate_up = make(prefix + "gate_up_proj", {2 * config.intermediate_size, hidden}, false);
    layer.down = make(prefix + "down_proj", {hidden, config.intermediate_size}, false);
    weights.layers.push_back(std::move(layer));
  }
  weights.final_norm = make("norm", {hidden}, true);
  weights.head = config.tie_word_embeddings ? weights.embed
                                            : make("lm_head", {config.vocab_size, hidden}, false);
  return weights;
}

Weights allocate_weights(const Qwen3Config& config, at::ScalarType dtype, c10::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return make_weights(config, [&](const std::string&, const std::vector<std::int64_t>& shape,
                                  bool) { return at::empty(shape, options); });
}

// Reads straight into `out` where that is on the host, else through a host piece.
void load_elements(const CheckpointReader& reader, const std::string& name,
                   const std::vector<std::int64_t>& shape, std::int64_t first,
                   const at::Tensor& out, bool check_finite) {
  const DType dtype = file_dtype(out.scalar_type());
  reader.expect(name, shape);
  const at::Tensor host =
      out.is_cpu() ? out : at::empty(out.sizes(), out.options().device(at::kCPU));
  const auto begin = static_cast<std::uint64_t>(first);
  const auto size = static_cast<std::uint64_t>(host.numel());
  auto* bytes = static_cast<std::byte*>(host.data_ptr());
  for (std::uint64_t done = 0; done < size; done += kPieceElements) {
    const std::uint64_t count = std::min(kPieceElements, size - done);
    const std::span<std::byte> piece(bytes + done * dtype_bytes(dtype), count * dtype_bytes(dtype));
    reader.read_as(name, begin + done, dtype, piece);
    if (check_finite) {
      if (const auto bad = first_non_finite(dtype, piece)) {
        fail_data(
            "weight {} has a value that is not finite at element {}; the checkpoint is damaged",
            name, begin + done + *bad);
      }
    }
  }
  if (!out.is_cpu()) {
    out.copy_(host);
  }
}

void load_weights(const CheckpointReader& reader, const Qwen3Config& config, const Weights& weights,
                  bool check_finite) {
  std::vector<NamedWeight> named = named_weights(weights, config);
  std::erase_if(named, [](const NamedWeight& weight) { return !weight.view.defined(); });
  std::uint64_t total = 0;
  for (const NamedWeight& weight : named) {
    total += static_cast<std::uint64_t>(weight.view.numel());
  }
  ProgressLine progress("loading weights", total, "parameters");
  std::uint64_t done = 0;
  for (const NamedWeight& weight : named) {
    const at::IntArrayRef sizes = weight.view.sizes();
    load_elements(reader, weight.name, {sizes.begin(), sizes.end()}, 0, weight.view, check_finite);
    done += static_cast<std::uint64_t>(weight.view.numel());
    progress.update(done);
  }
  progress.finish();
}

}  // namespace weft::model
