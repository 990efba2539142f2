#include "model/layer_shares.h"

#include <ATen/ops/empty.h>

#include <fmt/format.h>

#include <algorithm>

namespace weft::model {
namespace {

constexpr std::int64_t kBoundary = 64;  // bytes: where LibTorch's own memory begins

std::int64_t rounded_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

std::int64_t qkv_rows(const Qwen3Config& c) {
  return (c.num_attention_heads + 2 * c.num_key_value_heads) * c.head_dim;
}

// A tensor of the checkpoint and where it lies in the flat buffer.
struct Piece {
  const char* name;
  std::int64_t begin;
  std::int64_t rows;
  std::int64_t columns;
};

std::vector<Piece> pieces_of(const Qwen3Config& c, const LayerShares& at) {
  const std::int64_t hidden = c.hidden_size;
  const std::int64_t ffn = c.intermediate_size;
  const std::int64_t q_rows = c.num_attention_heads * c.head_dim;
  const std::int64_t kv_rows = c.num_key_value_heads * c.head_dim;
  return {{"self_attn.q_proj", at.qkv, q_rows, hidden},
          {"self_attn.k_proj", at.qkv + q_rows * hidden, kv_rows, hidden},
          {"self_attn.v_proj", at.qkv + (q_rows + kv_rows) * hidden, kv_rows, hidden},
          {"self_attn.o_proj", at.o, hidden, q_rows},
          {"mlp.gate_proj", at.gate_up, ffn, hidden},
          {"mlp.up_proj", at.gate_up + ffn * hidden, ffn, hidden},
          {"mlp.down_proj", at.down, hidden, ffn}};
}

}  // namespace

LayerShares cut_layer(const Qwen3Config& config, at::ScalarType dtype, std::int64_t count) {
  const std::int64_t boundary = kBoundary / static_cast<std::int64_t>(c10::elementSize(dtype));
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t qkv = qkv_rows(config) * hidden;
  const std::int64_t o = hidden * config.num_attention_heads * config.head_dim;
  const std::int64_t gate_up = 2 * config.intermediate_size * hidden;
  const std::int64_t down = hidden * config.intermediate_size;
  LayerShares shares;
  shares.count = count;
  shares.o = rounded_up(qkv, boundary);
  shares.gate_up = rounded_up(shares.o + o, boundary);
  shares.down = rounded_up(shares.gate_up + gate_up, boundary);
  shares.share = rounded_up((shares.down + down + count - 1) / count, boundary);
  shares.matrices = qkv + o + gate_up + down;
  return shares;
}

std::int64_t shared_base_bytes(const Qwen3Config& config, at::ScalarType dtype,
                               std::int64_t count) {
  const LayerShares shares = cut_layer(config, dtype, count);
  const std::int64_t layers = config.num_hidden_layers;
  const std::int64_t whole = config.parameter_count() - layers * shares.matrices;
  return (whole + layers * shares.share + 2 * shares.elements()) *
         static_cast<std::int64_t>(c10::elementSize(dtype));
}

LayerWeights view_layer(const Qwen3Config& config, const LayerShares& shares,
                        const at::Tensor& flat, const LayerWeights& norms) {
  const auto view = [&](std::int64_t begin, std::int64_t rows, std::int64_t columns) {
    return flat.narrow(0, begin, rows * columns).view({rows, columns});
  };
  const std::int64_t hidden = config.hidden_size;
  LayerWeights layer = norms;
  layer.qkv = view(shares.qkv, qkv_rows(config), hidden);
  layer.o = view(shares.o, hidden, config.num_attention_heads * config.head_dim);
  layer.gate_up = view(shares.gate_up, 2 * config.intermediate_size, hidden);
  layer.down = view(shares.down, hidden, config.intermediate_size);
  return layer;
}

Weights allocate_without_matrices(const Qwen3Config& config, at::ScalarType dtype,
                                  c10::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  return make_weights(
      config, [&](const std::string& name, const std::vector<std::int64_t>& shape, bool is_norm) {
        const bool matrix = name.starts_with("layers.") && !is_norm;
        return matrix ? at::Tensor() : at::empty(shape, options);
      });
}

void load_layer_share(const CheckpointReader& reader, const Qwen3Config& config,
                      const LayerShares& shares, std::int64_t layer, std::int64_t number,
                      const at::Tensor& out) {
  const std::int64_t begin = number * shares.share;
  const std::int64_t end = begin + shares.share;
  out.zero_();
  for (const Piece& piece : pieces_of(config, shares)) {
    const std::int64_t first = std::max(begin, piece.begin);
    const std::int64_t last = std::min(end, piece.begin + piece.rows * piece.columns);
    if (first < last) {
      load_elements(reader, fmt::format("model.layers.{}.{}.weight", layer, piece.name),
                    {piece.rows, piece.columns}, first - piece.begin,
                    out.narrow(0, first - begin, last - first), /*check_finite=*/true);
    }
  }
}

}  // namespace weft::model
