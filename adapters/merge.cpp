#include "adapters/merge.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <map>
#include <vector>

#include "adapters/peft_files.h"
#include "base/error.h"
#include "base/progress.h"
#include "model/checkpoint_files.h"
#include "model/checkpoint_reader.h"

namespace weft::adapters {
namespace {

constexpr std::int64_t kPieceElements = std::int64_t{4} << 20;

// B, A and scale of each adapted weight, by the weight's name in the checkpoint.
struct Delta {
  at::Tensor a;
  at::Tensor b;
  double scale;
};
using Deltas = std::map<std::string, Delta>;

Deltas deltas_of(const LoraAdapters& adapters) {
  Deltas deltas;
  const std::vector<NamedMatrix> matrices = adapters.matrices();
  for (std::size_t i = 0; i < adapters.modules().size(); ++i) {
    const LoraModule& module = adapters.modules()[i];
    deltas[module.name() + ".weight"] = {matrices[2 * i].view, matrices[2 * i + 1].view,
                                         module.scale};
  }
  return deltas;
}

std::vector<model::TensorSpec> specs_of(const model::CheckpointReader& reader) {
  std::vector<model::TensorSpec> specs;
  for (const std::string& name : reader.names()) {
    const model::TensorInfo& info = reader.info(name);
    specs.push_back({name, info.dtype, info.shape});
  }
  return specs;
}

void copy_tensor(const model::CheckpointReader& reader, const std::string& name,
                 model::CheckpointWriter& writer) {
  std::vector<std::byte> bytes(reader.info(name).bytes());
  reader.read(name, bytes);
  writer.append(name, bytes);
}

void merge_tensor(const model::CheckpointReader& reader, const model::TensorSpec& spec,
                  const Delta& delta, model::CheckpointWriter& writer) {
  const std::int64_t rows = spec.shape.at(0);
  const std::int64_t columns = spec.shape.at(1);
  const std::int64_t step = std::max<std::int64_t>(kPieceElements / columns, 1);
  for (std::int64_t first = 0; first < rows; first += step) {
    const std::int64_t count = std::min(step, rows - first);
    at::Tensor sum = at::empty({count, columns}, at::TensorOptions(at::kFloat));
    const std::span<std::byte> bytes(static_cast<std::byte*>(sum.data_ptr()), sum.nbytes());
    reader.read_as(spec.name, static_cast<std::uint64_t>(first * columns), model::DType::kFloat32,
                   bytes);
    at::addmm_out(sum, sum, delta.b.narrow(0, first, count), delta.a, 1.0, delta.scale);
    std::vector<std::byte> rounded(static_cast<std::size_t>(sum.numel()) *
                                   model::dtype_bytes(spec.dtype));
    model::convert_elements(model::DType::kFloat32, bytes, spec.dtype, rounded);
    if (model::first_non_finite(spec.dtype, rounded)) {
      fail(ErrorKind::kNumerics,
           "{} is not finite once merged; the adapter's scale or values are too large for {}",
           spec.name, model::dtype_name(spec.dtype));
    }
    writer.append(spec.name, rounded);
  }
}

// The place must be free, and neither input may be where the result goes.
void check_paths(FileSystem& files, const fs::path& base, const fs::path& adapter,
                 const fs::path& out) {
  const auto same = [](const fs::path& left, const fs::path& right) {
    return fs::weakly_canonical(left) == fs::weakly_canonical(right);
  };
  if (same(base, out) || same(adapter, out)) {
    fail_config("--out {} is one of the inputs; give the merged model a folder of its own",
                out.string());
  }
  if (files.exists(out)) {
    fail_config("--out {} exists; remove it or choose another folder", out.string());
  }
}

}  // namespace

MergeResult merge_adapter(FileSystem& files, const fs::path& base, const fs::path& adapter,
                          const fs::path& out, const MergeOptions& options) {
  check_paths(files, base, adapter, out);
  const model::Qwen3Config config = model::read_qwen3_config(files, base);
  const auto reader = model::CheckpointReader::open(files, base);
  const LoraAdapters adapters = read_peft_adapter(files, adapter, config, at::kFloat, at::kCPU);
  const Deltas deltas = deltas_of(adapters);
  for (const LoraModule& module : adapters.modules()) {
    const MatrixShape shape = target_shape(config, module.target);
    reader.expect(module.name() + ".weight", std::vector<std::int64_t>{shape.out, shape.in});
  }

  if (out.has_parent_path()) {
    files.make_folders(out.parent_path());
  }
  PublishedFolder folder(files, out);
  model::CheckpointWriter writer(files, folder.path(), specs_of(reader), options.max_shard_bytes);
  ProgressLine progress("merging", reader.total_bytes(), "bytes");
  MergeResult result;
  for (const model::TensorSpec& spec : writer.order()) {
    const auto delta = deltas.find(spec.name);
    if (delta == deltas.end()) {
      copy_tensor(reader, spec.name, writer);
    } else {
      merge_tensor(reader, spec, delta->second, writer);
      ++result.merged_matrices;
    }
    ++result.tensors;
    result.bytes += reader.info(spec.name).bytes();
    progress.update(result.bytes);
  }
  writer.finish();
  model::copy_config(files, base, folder.path());
  model::copy_side_files(files, base, folder.path());
  folder.commit();
  progress.finish();
  return result;
}

}  // namespace weft::adapters
