#include "model/weights.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/progress.h"
#include "base/text.h"
#include "kernels/arena.h"
#include "kernels/fp8.h"

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

// Reads elements [first, first + count) of a checkpoint's tensor.
void read_piece(const CheckpointReader& reader, const std::string& name, std::uint64_t first,
                DType dtype, std::span<std::byte> piece, bool check_finite) {
  reader.read_as(name, first, dtype, piece);
  if (!check_finite) {
    return;
  }
  if (const auto bad = first_non_finite(dtype, piece)) {
    fail_data("weight {} has a value that is not finite at element {}; the checkpoint is damaged",
              name, first + *bad);
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
    const auto add_rows = [&](const char* name, const at::Tensor& packed, const at::Tensor& scales,
                              std::int64_t first, std::int64_t count) {
      named.push_back(
          {prefix + name, rows(packed, first, count), false, rows(scales, first, count)});
    };
    add_rows("self_attn.q_proj.weight", layer.qkv, layer.qkv_scales, 0, q_rows);
    add_rows("self_attn.k_proj.weight", layer.qkv, layer.qkv_scales, q_rows, kv_rows);
    add_rows("self_attn.v_proj.weight", layer.qkv, layer.qkv_scales, q_rows + kv_rows, kv_rows);
    named.push_back({prefix + "self_attn.o_proj.weight", layer.o, false, layer.o_scales});
    named.push_back({prefix + "self_attn.q_norm.weight", layer.q_norm, true});
    named.push_back({prefix + "self_attn.k_norm.weight", layer.k_norm, true});
    named.push_back({prefix + "post_attention_layernorm.weight", layer.post_norm, true});
    add_rows("mlp.gate_proj.weight", layer.gate_up, layer.gate_up_scales, 0, ffn);
    add_rows("mlp.up_proj.weight", layer.gate_up, layer.gate_up_scales, ffn, ffn);
    named.push_back({prefix + "mlp.down_proj.weight", layer.down, false, layer.down_scales});
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

namespace {

// Allocates the matrices of one kind, whose sizes are known, in extended buffers. Those of all
// layers are one piece of memory where they are alike, so that one launch reaches the same place in
// each.
void extend(std::vector<LayerWeights>& layers, const std::vector<LayerSpare>& spare,
            std::int64_t LayerSpare::*room, at::Tensor LayerWeights::*matrix,
            at::Tensor LayerWeights::*extended, const at::TensorOptions& options) {
  const std::int64_t out = (layers.front().*matrix).size(0);
  const std::int64_t in = (layers.front().*matrix).size(1);
  const std::int64_t first = spare.front().*room;
  const bool alike = std::all_of(spare.begin(), spare.end(),
                                 [&](const LayerSpare& layer) { return layer.*room == first; });
  const auto count = static_cast<std::int64_t>(layers.size());
  const at::Tensor all =
      alike && first > 0 ? at::empty({count, out + first, in + first}, options) : at::Tensor();
  for (std::int64_t i = 0; i < count; ++i) {
    LayerWeights& layer = layers[static_cast<std::size_t>(i)];
    const std::int64_t beside = spare.at(static_cast<std::size_t>(i)).*room;
    if (beside == 0) {
      layer.*matrix = at::empty({out, in}, options);
      continue;
    }
    const at::Tensor buffer =
        all.defined() ? all.select(0, i) : at::empty({out + beside, in + beside}, options);
    buffer.narrow(0, out, beside).zero_();
    buffer.narrow(1, in, beside).zero_();
    layer.*matrix = buffer.narrow(0, 0, out).narrow(1, 0, in);
    layer.*extended = buffer;
  }
}

}  // namespace

Weights allocate_weights(const Qwen3Config& config, at::ScalarType dtype, c10::Device device,
                         bool fp8, const std::vector<LayerSpare>& spare) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  Weights weights = make_weights(
      config, [&](const std::string& name, const std::vector<std::int64_t>& shape, bool) {
        const bool in_layer = name.starts_with("layers.") && shape.size() == 2;
        if (in_layer && !spare.empty()) {
          return at::empty(shape, options.device(at::kMeta));  // what becomes of it is below
        }
        return at::empty(shape, fp8 && in_layer ? options.dtype(at::kFloat8_e4m3fn) : options);
      });
  if (fp8) {
    for (LayerWeights& layer : weights.layers) {
      const auto scales_of = [&](const at::Tensor& matrix) {
        return at::empty({matrix.size(0)}, options.dtype(at::kFloat));
      };
      layer.qkv_scales = scales_of(layer.qkv);
      layer.o_scales = scales_of(layer.o);
      layer.gate_up_scales = scales_of(layer.gate_up);
      layer.down_scales = scales_of(layer.down);
    }
  }
  if (!spare.empty()) {
    const auto extend_all = [&](auto room, auto matrix, auto extended) {
      extend(weights.layers, spare, room, matrix, extended, options);
    };
    extend_all(&LayerSpare::qkv, &LayerWeights::qkv, &LayerWeights::qkv_extended);
    extend_all(&LayerSpare::o, &LayerWeights::o, &LayerWeights::o_extended);
    extend_all(&LayerSpare::gate_up, &LayerWeights::gate_up, &LayerWeights::gate_up_extended);
    extend_all(&LayerSpare::down, &LayerWeights::down, &LayerWeights::down_extended);
  }
  return weights;
}

std::int64_t weight_bytes(const Weights& weights) {
  std::size_t bytes = weights.embed.nbytes() + weights.final_norm.nbytes();
  bytes += weights.head.is_same(weights.embed) ? 0 : weights.head.nbytes();
  const auto whole = [](const at::Tensor& matrix, const at::Tensor& extended) {
    return extended.defined() ? extended : matrix;
  };
  for (const LayerWeights& layer : weights.layers) {
    for (const at::Tensor& tensor :
         {layer.input_norm, layer.q_norm, layer.k_norm, layer.post_norm,
          whole(layer.qkv, layer.qkv_extended), whole(layer.o, layer.o_extended),
          whole(layer.gate_up, layer.gate_up_extended), whole(layer.down, layer.down_extended),
          layer.qkv_scales, layer.o_scales, layer.gate_up_scales, layer.down_scales}) {
      bytes += tensor.defined() ? tensor.nbytes() : 0;
    }
  }
  return static_cast<std::int64_t>(bytes);
}

// Reads straight into `out` where that is whole and on the host, else through a host piece.
void load_elements(const CheckpointReader& reader, const std::string& name,
                   const std::vector<std::int64_t>& shape, std::int64_t first,
                   const at::Tensor& out, bool check_finite) {
  const DType dtype = file_dtype(out.scalar_type());
  reader.expect(name, shape);
  const bool direct = out.is_cpu() && out.is_contiguous();
  const at::Tensor host = direct ? out : at::empty(out.sizes(), out.options().device(at::kCPU));
  const auto begin = static_cast<std::uint64_t>(first);
  const auto size = static_cast<std::uint64_t>(host.numel());
  auto* bytes = static_cast<std::byte*>(host.data_ptr());
  for (std::uint64_t done = 0; done < size; done += kPieceElements) {
    const std::uint64_t count = std::min(kPieceElements, size - done);
    read_piece(reader, name, begin + done, dtype,
               {bytes + done * dtype_bytes(dtype), count * dtype_bytes(dtype)}, check_finite);
  }
  if (!direct) {
    out.copy_(host);
  }
}

// Quantised on the host, some rows at a time.
void load_fp8_rows(const CheckpointReader& reader, const NamedWeight& weight, bool check_finite) {
  const at::IntArrayRef sizes = weight.view.sizes();
  reader.expect(weight.name, {sizes.data(), sizes.size()});
  const std::int64_t width = weight.view.size(1);
  const std::int64_t step =
      std::max<std::int64_t>(static_cast<std::int64_t>(kPieceElements) / width, 1);
  kernels::Arena scratch{c10::Device(at::kCPU)};
  for (std::int64_t row = 0; row < weight.view.size(0); row += step) {
    const kernels::Arena::Scope scope(scratch);
    const std::int64_t count = std::min(step, weight.view.size(0) - row);
    const at::Tensor wide = scratch.take({count, width}, at::kFloat);
    read_piece(reader, weight.name, static_cast<std::uint64_t>(row * width), DType::kFloat32,
               {static_cast<std::byte*>(wide.data_ptr()), wide.nbytes()}, check_finite);
    const kernels::Fp8Rows rows = kernels::take_fp8_rows(count, width, scratch);
    kernels::quantize_rows(wide, {}, rows);
    weight.view.narrow(0, row, count).copy_(rows.values);
    weight.scales.narrow(0, row, count).copy_(rows.scales);
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
    if (weight.scales.defined()) {
      load_fp8_rows(reader, weight, check_finite);
    } else {
      load_elements(reader, weight.name, {sizes.begin(), sizes.end()}, 0, weight.view,
                    check_finite);
    }
    done += static_cast<std::uint64_t>(weight.view.numel());
    progress.update(done);
  }
  progress.finish();
}

}  // namespace weft::model
