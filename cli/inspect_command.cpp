#include "cli/inspect_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>

#include "base/error.h"
#include "base/text.h"
#include "cli/common.h"
#include "cli/inspect_folders.h"
#include "cli/inspect_options.h"
#include "cli/inspect_shards.h"
#include "data/document_view.h"
#include "data/manifest.h"
#include "trainer/checkpoint_find.h"
#include "trainer/checkpoint_manifest.h"

namespace weft::cli {
namespace {

enum class Kind { kShards, kModel, kAdapter, kCheckpoint, kRun };

Kind kind_of_path(FileSystem& files, const fs::path& path) {
  if (!files.exists(path)) {
    fail_data("{}: no such file or folder", path.string());
  }
  if (!files.is_folder(path) || data::is_shard_folder(files, path)) {
    return Kind::kShards;
  }
  const auto has = [&](std::string_view name) { return files.exists(path / name); };
  if (has(trainer::kManifestName)) {
    return Kind::kCheckpoint;
  }
  if (has("adapter_config.json")) {
    return Kind::kAdapter;
  }
  if (has("config.json")) {
    return Kind::kModel;
  }
  if (has("final") || !trainer::list_checkpoints(files, path).empty()) {
    return Kind::kRun;
  }
  fail_data(
      "{}: holds nothing that weft knows; expected a folder of shards (shards.json), a model "
      "(config.json), an adapter (adapter_config.json), a checkpoint (MANIFEST.json), or a run "
      "with "
      "one of these",
      path.string());
}

std::string value_text(const Json& value) {
  if (value.is_string()) {
    return data::visible_text(value.get<std::string>());
  }
  if (value.is_array()) {
    std::vector<std::string> parts;
    for (const Json& part : value) {
      parts.push_back(value_text(part));
    }
    return join(parts, ", ");
  }
  return data::visible_text(dump_json(value));
}

// "key  value" lines; objects are indented under their key.
void append_lines(std::string& text, const Json& object, std::size_t indent) {
  std::size_t width = 0;
  for (const auto& [key, value] : object.items()) {
    width = std::max(width, key.size());
  }
  for (const auto& [key, value] : object.items()) {
    if (key == "problems") {
      continue;
    }
    if (value.is_object()) {
      text += fmt::format("{:{}}{}\n", "", indent, key);
      append_lines(text, value, indent + 2);
    } else {
      text += fmt::format("{:{}}{:<{}}  {}\n", "", indent, key, width, value_text(value));
    }
  }
}

Json inspect_folder(FileSystem& files, Kind kind, const InspectOptions& options) {
  switch (kind) {
    case Kind::kModel:
      return inspect_model(files, options.path, options.verify);
    case Kind::kAdapter:
      return inspect_adapter(files, options.path, options);
    case Kind::kCheckpoint:
      return inspect_checkpoint(files, options.path, options);
    default:
      return inspect_run(files, options.path, options);
  }
}

void print_folder(FileSystem& files, Kind kind, const InspectOptions& options) {
  if (options.wants_documents() || !options.source.empty() || !options.html.empty()) {
    fail_config(
        "{}: is no folder of shards; --document, --source, --random, --grep and --html "
        "are for shards",
        options.path);
  }
  const Json found = inspect_folder(files, kind, options);
  if (options.json) {
    print_json_line(found);
  } else {
    std::string text;
    append_lines(text, found, 0);
    std::fputs(text.c_str(), stdout);
  }
  flush_output();
  if (const Json* problems = json_find(found, "problems"); problems && !problems->empty()) {
    fail_data("{}: {}", options.path, value_text(*problems));
  }
}

void inspect(const InspectOptions& options) {
  FileSystem& files = posix_file_system();
  const Kind kind = kind_of_path(files, options.path);
  if (kind == Kind::kShards) {
    inspect_shards(files, options);
  } else {
    print_folder(files, kind, options);
  }
}

}  // namespace

void add_inspect_command(CLI::App& app) {
  auto options = std::make_shared<InspectOptions>();
  CLI::App* command =
      app.add_subcommand("inspect", "What shards, a model, an adapter or a checkpoint hold");
  command->add_option("path", options->path, "A folder, or one shard")->required();
  command->add_option("--model", options->model,
                      "The model's folder (default: what the shards or the adapter name)");
  command->add_option("--document", options->documents,
                      "Show documents by number, targets marked; may be given several times");
  command->add_option("--random", options->random, "Show so many documents, drawn at random")
      ->check(CLI::PositiveNumber);
  command->add_option("--grep", options->grep, "Show documents whose text holds this");
  command->add_option("--source", options->source,
                      "Only documents of this dataset: its number, or a part of its path");
  command->add_option("--limit", options->limit, "Show so many of what --grep finds (default 10)")
      ->check(CLI::PositiveNumber);
  command->add_option("--seed", options->seed, "For --random (default 42)");
  command->add_flag("--tokens", options->tokens, "Show where one token ends and the next begins");
  command->add_option("--html", options->html, "Write a page to this file instead of printing");
  command->add_flag("--verify", options->verify, "Read everything: checksums and all values");
  command->add_flag("--json", options->json, "JSON for scripts; documents one a line");
  command->callback([options] { inspect(*options); });
}

}  // namespace weft::cli
