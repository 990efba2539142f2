#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "model/packed_batch.h"
#include "model/qwen3_model.h"

namespace weft::test {

/// The folder of fixtures that tests/oracle/*.py wrote.
[[nodiscard]] fs::path fixture_folder();
/// The tiny models in it.
[[nodiscard]] std::vector<std::string> model_fixtures();

/// All tensors of a safetensors file.
[[nodiscard]] std::map<std::string, at::Tensor> read_tensors(const fs::path& path);

/// The config of a model of tests/fixtures/model.
[[nodiscard]] model::Qwen3Config model_config(const std::string& name);

/// The model, its weights held as `dtype`, with `fp8` those of its layers' matrices as 8-bit
/// floats, or with `spare` beside each matrix.
[[nodiscard]] model::Qwen3Model load_model(const std::string& name, at::ScalarType dtype,
                                           c10::Device device = at::kCPU, bool fp8 = false,
                                           const std::vector<model::LayerSpare>& spare = {});

/// The packed input that the fixture's numbers belong to.
[[nodiscard]] model::PackedBatch fixture_batch(const std::map<std::string, at::Tensor>& expected,
                                               std::int64_t vocab_size,
                                               c10::Device device = at::kCPU);

/// Logits of every row, [T, V].
[[nodiscard]] at::Tensor all_logits(model::Qwen3Model& model, const model::PackedBatch& batch);

/// |actual - expected| / |expected| over the whole tensor (Frobenius norm), in fp64.
[[nodiscard]] double relative_error(const at::Tensor& actual, const at::Tensor& expected);

}  // namespace weft::test
