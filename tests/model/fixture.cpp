#include "fixture.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cstdlib>

#include "model/safetensors.h"

namespace weft::test {
namespace {

at::ScalarType tensor_dtype(model::DType dtype) {
  switch (dtype) {
    case model::DType::kFloat64:
      return at::kDouble;
    case model::DType::kFloat32:
      return at::kFloat;
    case model::DType::kBFloat16:
      return at::kBFloat16;
    case model::DType::kInt32:
      return at::kInt;
    case model::DType::kInt64:
      return at::kLong;
    case model::DType::kUint8:
      return at::kByte;
    default:
      throw std::runtime_error("a fixture has a dtype that tests don't read");
  }
}

template <typename T>
std::vector<T> to_vector(const at::Tensor& tensor) {
  const T* data = tensor.const_data_ptr<T>();
  return {data, data + tensor.numel()};
}

}  // namespace

fs::path fixture_folder() {
  // A bundle brings them along.
  const char* const elsewhere = std::getenv("WEFT_FIXTURES");
  return elsewhere != nullptr ? fs::path(elsewhere)
                              : fs::path(WEFT_SOURCE_DIR) / "tests" / "fixtures";
}

std::vector<std::string> model_fixtures() {
  return posix_file_system().list(fixture_folder() / "model");
}

std::map<std::string, at::Tensor> read_tensors(const fs::path& path) {
  const auto file = model::SafetensorsFile::open(posix_file_system(), path);
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, info] : file.tensors()) {
    at::Tensor tensor = at::empty(info.shape, at::TensorOptions(tensor_dtype(info.dtype)));
    file.read(info, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()});
    tensors[name] = tensor;
  }
  return tensors;
}

model::Qwen3Config model_config(const std::string& name) {
  return model::read_qwen3_config(posix_file_system(), fixture_folder() / "model" / name);
}

model::Qwen3Model load_model(const std::string& name, at::ScalarType dtype, c10::Device device,
                             bool fp8, const std::vector<model::LayerSpare>& spare) {
  const model::Qwen3Config config = model_config(name);
  const auto reader =
      model::CheckpointReader::open(posix_file_system(), fixture_folder() / "model" / name);
  model::Weights weights = model::allocate_weights(config, dtype, device, fp8, spare);
  model::load_weights(reader, config, weights);
  return model::Qwen3Model(config, std::move(weights));
}

model::PackedBatch fixture_batch(const std::map<std::string, at::Tensor>& expected,
                                 std::int64_t vocab_size, c10::Device device) {
  return model::make_packed_batch(
      to_vector<std::int32_t>(expected.at("tokens")), to_vector<std::uint8_t>(expected.at("mask")),
      to_vector<std::int32_t>(expected.at("cu_seqlens")), vocab_size, device);
}

at::Tensor all_logits(model::Qwen3Model& model, const model::PackedBatch& batch) {
  std::vector<at::Tensor> chunks;
  const at::Tensor rows =
      at::arange(batch.size(), at::TensorOptions(at::kLong).device(model.device()));
  model.logits(batch, rows,
               [&](std::int64_t, const at::Tensor& logits) { chunks.push_back(logits.clone()); });
  return at::cat(chunks);
}

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  const at::Tensor reference = expected.cpu().to(at::kDouble);
  const double scale = reference.norm().item<double>();
  const double error = (actual.cpu().to(at::kDouble) - reference).norm().item<double>();
  return scale == 0 ? error : error / scale;
}

}  // namespace weft::test
