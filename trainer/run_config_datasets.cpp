#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "trainer/run_config_keys.h"

namespace weft::trainer {

namespace {

std::string read_dataset(const YamlNode& node, std::string_view where, DatasetConfig& dataset) {
  if (node.kind == YamlNode::Kind::kScalar) {
    dataset.path = node.text;
    return dataset.path.empty() ? fmt::format("{}: the path is empty", where) : "";
  }
  if (node.kind != YamlNode::Kind::kMap) {
    return fmt::format("{}: must be a path or a map with path and format", where);
  }
  Schema schema = dataset_schema(dataset);
  try {
    schema.read(node, where);
  } catch (const Error& error) {
    return error.what();
  }
  if (dataset.path.empty()) {
    return fmt::format("{}: path is missing", where);
  }
  if ((dataset.split == "separator") == dataset.separator.empty()) {
    return fmt::format("{}: separator and split: separator belong together", where);
  }
  return "";
}

std::string read_datasets(const std::string& key, const YamlNode& node,
                          std::vector<DatasetConfig>* datasets) {
  std::vector<DatasetConfig> result;
  if (node.kind == YamlNode::Kind::kScalar) {
    result.emplace_back();
    if (const std::string problem = read_dataset(node, key, result.back()); !problem.empty()) {
      return problem;
    }
  } else if (node.kind != YamlNode::Kind::kList) {
    return "must be a list of datasets, such as [{path: data/chats.jsonl}]";
  }
  for (const YamlNode& item : node.items) {
    result.emplace_back();
    const std::string where = fmt::format("{}[{}]", key, result.size() - 1);
    if (const std::string problem = read_dataset(item, where, result.back()); !problem.empty()) {
      return problem;
    }
  }
  *datasets = std::move(result);
  return "";
}

std::string write_datasets(const std::vector<DatasetConfig>& datasets) {
  // JSON's flow style and quoting are YAML's too.
  Json list = Json::array();
  const DatasetConfig defaults;
  for (const DatasetConfig& each : datasets) {
    Json entry;
    entry["path"] = each.path;
    entry["format"] = each.format;
    if (each.split != defaults.split) {
      entry["split"] = each.split;
    }
    if (!each.separator.empty()) {
      entry["separator"] = each.separator;
    }
    list.push_back(std::move(entry));
  }
  return dump_json_python(list);
}

}  // namespace

Schema dataset_schema(DatasetConfig& dataset) {
  Schema schema;
  schema.add_string("path", &dataset.path, "A file, or a folder of token shards.");
  schema
      .add_choice(
          "format", &dataset.format, {"auto", "text", "chat", "ids", "shards"},
          "What is in it: text; chat (JSON lines with `messages`); ids (JSON lines with `ids` and "
          "`labels`, "
          "-100 for tokens that are not trained); shards (made by `weft tokenize`). auto looks.")
      .aliases = {"type"};
  schema.add_choice("split", &dataset.split, {"line", "paragraph", "file", "separator"},
                    "text: what one document is.");
  schema.add_string("separator", &dataset.separator, "text: the line that separates documents.");
  return schema;
}

Schema::Key datasets_key(std::string name, std::vector<DatasetConfig>* datasets,
                         std::string description) {
  Schema::Key key;
  key.name = name;
  key.type = "list of datasets";
  key.description = std::move(description);
  key.default_text = "[]";
  key.read = [name, datasets](const YamlNode& node) { return read_datasets(name, node, datasets); };
  key.write = [datasets] { return write_datasets(*datasets); };
  return key;
}

}  // namespace weft::trainer
