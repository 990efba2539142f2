#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "data/chat_options.h"
#include "data/tokenizer.h"
#include "model/generation_config.h"
#include "trainer/shared_base.h"

namespace weft::model {
class Qwen3Model;
}
namespace weft::adapters {
class LoraAdapters;
}

namespace weft::cli {

/// The flags that every verb that runs a model shares.
struct ModelOptions {
  std::string model;
  std::string adapter;
  std::string dtype = "auto";
  std::string device = "auto";

  void add_to(CLI::App& command);
};

/// A model ready to run, with or without an adapter, and its tokenizer (null where the folder has
/// none).
struct LoadedModel {
  LoadedModel();
  LoadedModel(LoadedModel&&) noexcept;
  ~LoadedModel();

  std::unique_ptr<model::Qwen3Model> model;
  std::unique_ptr<adapters::LoraAdapters>
      adapters;  ///< owns what the model's adapters are views of
  std::unique_ptr<data::Tokenizer> tokenizer;
  data::ChatOptions chat;  ///< the format that the folder's chat template writes
};
/// `sharing`: among which ranks the base is spread.
[[nodiscard]] LoadedModel load_model(FileSystem& files, const ModelOptions& options,
                                     const trainer::BaseSharing& sharing = {});

}  // namespace weft::cli
