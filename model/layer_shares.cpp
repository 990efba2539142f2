#include "model/layer_shares.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <fmt/format.h>

#include <algorithm>

namespace weft::model {
namespace {

constexpr std::int64_t kBoundary = 64;  // bytes: where LibTorch's own memory begins

std::int64_t rounded_up(std::int64_t value) {
  return (value + kBoundary - 1) / kBoundary * kBoundary;
}

std::int64_t element_bytes(at::ScalarType dtype) {
  return static_cast<std::int64_t>(c10::elementSize(dtype));
}

// A tensor of the checkpoint, which is rows of a layer's matrix.
struct Piece {
  const char* name;
  const MatrixPlace* matrix;
  std::int64_t first;
  std::int64_t rows;
};

std::vector<Piece> pieces_of(const Qwen3Config& c, const LayerShares& at) {
  const std::int64_t q_rows = c.num_attention_heads * c.head_dim;
  const std::int64_t kv_rows = c.num_key_value_heads * c.head_dim;
  const std::int64_t ffn = c.intermediate_size;
  return {{"self_attn.q_proj", &at.qkv, 0, q_rows},
          {"self_attn.k_proj", &at.qkv, q_rows, kv_rows},
          {"self_attn.v_proj", &at.qkv, q_rows + kv_rows, kv_rows},
          {"self_attn.o_proj", &at.o, 0, at.o.rows},
          {"mlp.gate_proj", &at.gate_up, 0, ffn},
          {"mlp.up_proj", &at.gate_up, ffn, ffn},
          {"mlp.down_proj", &at.down, 0, at.down.rows}};
}

// Bytes [begin, end) of the flat buffer that are in this share.
struct Range {
  std::int64_t begin;
  std::int64_t end;

  [[nodiscard]] Range within(std::int64_t first, std::int64_t bytes) const {
    return {std::max(begin, first), std::min(end, first + bytes)};
  }
  [[nodiscard]] bool empty() const { return begin >= end; }
};

void load_part(const CheckpointReader& reader, const std::string& name, const Piece& piece,
               at::ScalarType dtype, const Range& share, const at::Tensor& out) {
  const std::int64_t size = element_bytes(dtype);
  const std::int64_t columns = piece.matrix->columns;
  const std::int64_t begin = piece.matrix->begin + piece.first * columns * size;
  const Range part = share.within(begin, piece.rows * columns * size);
  if (!part.empty()) {
    load_elements(reader, name, {piece.rows, columns}, (part.begin - begin) / size,
                  out.narrow(0, part.begin - share.begin, part.end - part.begin).view(dtype),
                  /*check_finite=*/true);
  }
}

// Into the whole layer's buffer, where the share has something of it.
void load_quantized(const CheckpointReader& reader, const std::string& name, const Piece& piece,
                    const Range& share, const at::Tensor& flat) {
  const MatrixPlace& matrix = *piece.matrix;
  const std::int64_t begin = matrix.begin + piece.first * matrix.columns;
  const std::int64_t bytes = piece.rows * matrix.columns;
  const std::int64_t scales = matrix.scales + piece.first * element_bytes(at::kFloat);
  const std::int64_t scale_bytes = piece.rows * element_bytes(at::kFloat);
  if (share.within(begin, bytes).empty() && share.within(scales, scale_bytes).empty()) {
    return;
  }
  load_fp8_rows(
      reader,
      {name,
       flat.narrow(0, begin, bytes).view(at::kFloat8_e4m3fn).view({piece.rows, matrix.columns}),
       false, flat.narrow(0, scales, scale_bytes).view(at::kFloat)},
      /*check_finite=*/true);
}

}  // namespace

LayerShares cut_layer(const Qwen3Config& config, at::ScalarType dtype, std::int64_t count,
                      bool fp8) {
  LayerShares shares;
  shares.dtype = fp8 ? at::kFloat8_e4m3fn : dtype;
  shares.count = count;
  const std::int64_t hidden = config.hidden_size;
  const std::int64_t q_rows = config.num_attention_heads * config.head_dim;
  const std::int64_t kv_rows = config.num_key_value_heads * config.head_dim;
  std::int64_t end = 0;
  const auto place = [&](std::int64_t rows, std::int64_t columns) {
    MatrixPlace matrix{rows, columns, end, 0};
    end = rounded_up(end + matrix.elements() * element_bytes(shares.dtype));
    if (fp8) {
      matrix.scales = end;
      end = rounded_up(end + rows * element_bytes(at::kFloat));
    }
    return matrix;
  };
  shares.qkv = place(q_rows + 2 * kv_rows, hidden);
  shares.o = place(hidden, q_rows);
  shares.gate_up = place(2 * config.intermediate_size, hidden);
  shares.down = place(hidden, config.intermediate_size);
  shares.share = rounded_up((end + count - 1) / count);
  return shares;
}

std::int64_t shared_base_bytes(const Qwen3Config& config, at::ScalarType dtype, std::int64_t count,
                               bool fp8) {
  const LayerShares shares = cut_layer(config, dtype, count, fp8);
  const std::int64_t layers = config.num_hidden_layers;
  const std::int64_t matrices = shares.qkv.elements() + shares.o.elements() +
                                shares.gate_up.elements() + shares.down.elements();
  const std::int64_t whole = config.parameter_count() - layers * matrices;
  return whole * element_bytes(dtype) + layers * shares.share + 2 * shares.bytes();
}

LayerWeights view_layer(const LayerShares& shares, const at::Tensor& flat,
                        const LayerWeights& norms) {
  const auto matrix = [&](const MatrixPlace& place) {
    return flat.narrow(0, place.begin, place.elements() * element_bytes(shares.dtype))
        .view(shares.dtype)
        .view({place.rows, place.columns});
  };
  const auto scales = [&](const MatrixPlace& place) {
    return shares.fp8() ? flat.narrow(0, place.scales, place.rows * element_bytes(at::kFloat))
                              .view(at::kFloat)
                        : at::Tensor();
  };
  LayerWeights layer = norms;
  layer.qkv = matrix(shares.qkv);
  layer.o = matrix(shares.o);
  layer.gate_up = matrix(shares.gate_up);
  layer.down = matrix(shares.down);
  layer.qkv_scales = scales(shares.qkv);
  layer.o_scales = scales(shares.o);
  layer.gate_up_scales = scales(shares.gate_up);
  layer.down_scales = scales(shares.down);
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
  const Range share{number * shares.share, (number + 1) * shares.share};
  const at::Tensor flat =
      shares.fp8() ? at::zeros({shares.bytes()}, at::TensorOptions(at::kByte)) : at::Tensor();
  out.zero_();
  for (const Piece& piece : pieces_of(config, shares)) {
    const std::string name = fmt::format("model.layers.{}.{}.weight", layer, piece.name);
    if (shares.fp8()) {
      load_quantized(reader, name, piece, share, flat);
    } else {
      load_part(reader, name, piece, shares.dtype, share, out);
    }
  }
  if (flat.defined()) {
    out.copy_(flat.narrow(0, share.begin, shares.share));
  }
}

}  // namespace weft::model
