#include "data/tokenize_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "data/tokenize_chat_config.h"

namespace weft::data {

namespace {

std::string write_names(const std::map<std::string, std::string>& names);

std::string read_names(const YamlNode& node, std::map<std::string, std::string>* names,
                       std::span<const std::string> known) {
  if (node.kind != YamlNode::Kind::kMap) {
    return "must be a map of names, such as {instruction: question}";
  }
  std::map<std::string, std::string> read;
  for (const auto& [name, value] : node.members) {
    if (value.kind != YamlNode::Kind::kScalar) {
      return fmt::format("{} must be a name", name);
    }
    const std::string key = canonical_column(name);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      const std::string near = nearest_name(name, known);
      return fmt::format("unknown name '{}'{}; expected {}", printable(name),
                         near.empty() ? "" : ", did you mean '" + near + "'?", join(known, ", "));
    }
    read[key] = value.text;
  }
  // LLaMA-Factory's prompt and response are a question and its answer.
  if (node.find("response") != nullptr && read.contains("prompt")) {
    auto prompt = read.extract("prompt");
    prompt.key() = "instruction";
    read.insert(std::move(prompt));
  }
  *names = std::move(read);
  return {};
}

Schema::Key names_key(const char* name, std::map<std::string, std::string>* names,
                      std::span<const std::string> known, std::string description) {
  Schema::Key key;
  key.name = name;
  key.type = "map of names";
  key.description = std::move(description);
  key.default_text = "{}";
  key.read = [names, known](const YamlNode& node) { return read_names(node, names, known); };
  key.write = [names] { return write_names(*names); };
  return key;
}

/// The keys of one dataset, bound to `input`; its path to `path`.
Schema dataset_schema(TokenizeInput* input, std::string* path) {
  Schema schema;
  schema.add_string("path", path,
                    "file, folder (with the folders in it), or pattern such as data/**/*.jsonl; "
                    "data/a.jsonl#5000 draws 5000 rows; for a run also a folder of shards");
  schema
      .add_choice(
          "format", &input->format,
          {"auto", "text", "chat", "sharegpt", "alpaca", "prompt_completion", "preference", "kto",
           "ids"},
          "what a row holds, by its columns. text: `text`, or the lines of a text file. "
          "chat: `messages` or ShareGPT's `conversations` (sharegpt is the same). alpaca: "
          "`instruction`, `input`, `output`. prompt_completion: `prompt`, `completion`. "
          "preference: `chosen`, `rejected`. kto: one of these with `label`. ids: `ids` and "
          "`labels`, -100 for tokens that are not trained. auto looks at the file's name "
          "and first row, and logs what it found")
      .aliases = {"type"};
  schema.add_choice("sample_by", &input->sample_by, {"line", "paragraph", "document", "separator"},
                    "what one document of a text file is; document is the whole file");
  schema.add_string("separator", &input->separator,
                    "for sample_by separator: the line that stands between documents");
  schema.add_string("text_field", &input->text_field, "member of a JSON row that holds its text");
  schema.add_string("prompt_field", &input->prompt_field,
                    "member of a JSON row that becomes the user's message");
  schema.add_string("response_field", &input->response_field,
                    "member of a JSON row that becomes the assistant's message");
  schema.add_optional_number(
      "weight", &input->weight, {0, 1e9, true},
      "of a run's `datasets`, on all or none: this one's share of the documents of an epoch, which "
      "has as many documents as all datasets together; a smaller dataset is repeated, round and "
      "round, and of a larger one each epoch takes the next part");
  schema.add_custom(names_key("columns", &input->fields.columns, column_names(),
                              "what the data calls its columns, such as {instruction: question, "
                              "output: answer}: of " +
                                  join(column_names(), ", ")));
  schema.add_custom(
      names_key("tags", &input->fields.tags, tag_names(),
                "what its messages call their parts and roles: of " + join(tag_names(), ", ")));
  schema.add_choice("preference", &input->preference, {"pair", "chosen"},
                    "of preference pairs: keep both answers, tied to each other, or train on the "
                    "chosen one like on any other");
  schema
      .add_optional_int("sample", &input->sample, {1, 1e12},
                        "exactly so many rows, drawn by sample_seed; as #5000 after the path")
      .aliases = {"num_samples"};
  schema.add_int("sample_seed", &input->sample_seed, {0, 9007199254740992.0},
                 "another seed draws another sample");
  schema.add_optional_int("max_samples", &input->max_samples, {1, 1e12},
                          "the first so many rows at most");
  return schema;
}

TokenizeInput read_dataset(const YamlNode& node, std::string_view name) {
  TokenizeInput input;
  std::string path;
  if (node.kind == YamlNode::Kind::kScalar) {
    path = node.text;
  } else if (node.kind == YamlNode::Kind::kMap) {
    Schema schema = dataset_schema(&input, &path);
    schema.read(node, name);
  } else {
    fail_config("{}: must be a path or a map with path and format", name);
  }
  if (path.empty()) {
    fail_config("{}: path is missing", name);
  }
  if ((input.sample_by == "separator") == input.separator.empty()) {
    fail_config("{}: separator and sample_by: separator belong together", name);
  }
  input.path = path;
  return input;
}

std::string read_datasets(const YamlNode& node, std::string_view key,
                          std::vector<TokenizeInput>* value) {
  const bool alone = node.kind == YamlNode::Kind::kScalar;
  if (!alone && node.kind != YamlNode::Kind::kList) {
    return "must be a list of datasets, such as [{path: data/chats.jsonl}]";
  }
  std::vector<TokenizeInput> inputs;
  std::string problems;
  for (const YamlNode& item : alone ? std::vector<YamlNode>{node} : node.items) {
    try {
      inputs.push_back(read_dataset(item, fmt::format("{}[{}]", key, inputs.size())));
    } catch (const Error& error) {
      inputs.emplace_back();
      problems += problems.empty() ? "" : "; ";
      problems += error.what();
    }
  }
  if (problems.empty()) {
    *value = std::move(inputs);
  }
  return problems;
}

std::string quoted_yaml(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
    }
    result += c;
  }
  return result + '"';
}

std::string write_names(const std::map<std::string, std::string>& names) {
  std::string text;
  for (const auto& [name, value] : names) {
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", name, quoted_yaml(value));
  }
  return '{' + text + '}';
}

std::string write_datasets(const std::vector<TokenizeInput>& inputs) {
  std::string text;
  for (const TokenizeInput& input : inputs) {
    const TokenizeInput usual;
    text += fmt::format("{}{{path: {}", text.empty() ? "" : ", ", quoted_yaml(input.path.string()));
    const auto add = [&](std::string_view name, const std::string& value,
                         const std::string& unless) {
      if (value != unless) {
        text += fmt::format(", {}: {}", name, quoted_yaml(value));
      }
    };
    add("format", input.format, usual.format);
    add("sample_by", input.sample_by, usual.sample_by);
    add("separator", input.separator, usual.separator);
    add("text_field", input.text_field, usual.text_field);
    add("prompt_field", input.prompt_field, usual.prompt_field);
    add("response_field", input.response_field, usual.response_field);
    add("preference", input.preference, usual.preference);
    for (const auto& [name, names] :
         {std::pair{"columns", &input.fields.columns}, {"tags", &input.fields.tags}}) {
      if (!names->empty()) {
        text += fmt::format(", {}: {}", name, write_names(*names));
      }
    }
    if (input.weight) {
      text += fmt::format(", weight: {}", *input.weight);
    }
    const auto add_number = [&](std::string_view name, std::optional<std::int64_t> value,
                                std::optional<std::int64_t> unless) {
      if (value && value != unless) {
        text += fmt::format(", {}: {}", name, *value);
      }
    };
    add_number("sample", input.sample, std::nullopt);
    add_number("sample_seed", input.sample_seed, usual.sample_seed);
    add_number("max_samples", input.max_samples, std::nullopt);
    text += '}';
  }
  return '[' + text + ']';
}

}  // namespace

void TokenizeSettings::apply(TokenizeOptions& options, FileSystem& files,
                             const fs::path& model_folder) const {
  options.overlong = overlong_from_name(overlong);
  options.end_token = end_token;
  options.deduplicate = deduplicate;
  options.chat = chat_options(files, model_folder);
}

void add_tokenize_keys(Schema& schema, TokenizeSettings* settings) {
  schema.add_choice(
      "overlong", &settings->overlong, {"drop", "truncate", "split", "error"},
      "What becomes of a document longer than max_length; each is counted and reported.");
  schema.add_string("end_token", &settings->end_token,
                    "Token after each plain text; empty: <|endoftext|>, or </s> where the "
                    "tokenizer has no such token.");
  schema.add_bool("deduplicate", &settings->deduplicate,
                  "Leave out rows that say the same as an earlier one of any dataset; counted.");
  add_chat_keys(schema, settings);
  schema.add_number(
      "max_dropped_fraction", &settings->limits.max_dropped_fraction, {0, 1},
      "It is an error when more of a dataset's rows are dropped: empty, without a "
      "target, over max_length. Duplicates and rows left out on purpose do not count.");
  schema.add_number("max_truncated_fraction", &settings->limits.max_truncated_fraction, {0, 1},
                    "It is an error when more of a dataset's rows are cut or split at max_length.");
}

Schema::Key datasets_key(std::string name, std::vector<TokenizeInput>* value,
                         std::string description) {
  Schema::Key key;
  key.name = std::move(name);
  key.type = "list of datasets";
  key.description = std::move(description);
  key.default_text = write_datasets(*value);
  key.read = [value, id = key.name](const YamlNode& node) {
    return read_datasets(node, id, value);
  };
  key.write = [value] { return write_datasets(*value); };
  return key;
}

std::string dataset_keys_markdown() {
  TokenizeInput input;
  std::string path;
  return dataset_schema(&input, &path).to_markdown();
}

}  // namespace weft::data
