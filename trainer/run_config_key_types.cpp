#include "trainer/run_config_key_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <string_view>

#include "base/text.h"
#include "base/yaml_scalar.h"
#include "trainer/run_config.h"

namespace weft::trainer {

namespace {

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

/// The words of a list, or of a text with commas.
std::vector<std::string> words_of(const YamlNode& node) {
  std::vector<std::string> words;
  for (const YamlNode& item : node.items) {
    words.push_back(item.kind == YamlNode::Kind::kScalar ? item.text : "");
  }
  if (node.kind == YamlNode::Kind::kScalar) {
    for (std::string_view word : split(node.text, ',')) {
      while (word.starts_with(' ')) {
        word.remove_prefix(1);
      }
      while (word.ends_with(' ')) {
        word.remove_suffix(1);
      }
      words.emplace_back(word);
    }
  }
  return words;
}

std::string read_targets(const YamlNode& node, std::vector<std::string>* value) {
  const std::vector<std::string>& names = lora_target_names();
  const std::vector<std::string> words = words_of(node);
  if (words.size() == 1 && is_one_of(words[0], {"all", "all-linear"})) {
    *value = names;
    return "";
  }
  if (words.empty()) {
    return fmt::format("must be all, or a list of some of {}", join(names, ", "));
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (std::find(names.begin(), names.end(), words[i]) == names.end()) {
      const std::string nearest = nearest_name(words[i], names);
      return fmt::format(
          "'{}' is not a projection of Qwen3{}; expected all, or some of {}", printable(words[i]),
          nearest.empty() ? "" : fmt::format(" (did you mean {}?)", nearest), join(names, ", "));
    }
    if (std::find(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(i), words[i]) !=
        words.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fmt::format("'{}' is there twice", words[i]);
    }
  }
  value->clear();
  std::copy_if(names.begin(), names.end(), std::back_inserter(*value),
               [&words](const std::string& name) {
                 return std::find(words.begin(), words.end(), name) != words.end();
               });
  return "";
}

}  // namespace

Schema::Key learning_rate_key(std::optional<double>* value) {
  Schema inner;
  const auto number = inner.add_optional_number("learning_rate", value, {0, 1, true}, "");
  Schema::Key key = number;
  key.type = "auto | number > 0";
  key.default_text = "auto";
  key.aliases = {"lr"};
  key.description =
      "Peak learning rate of AdamW. auto: 5e-5 * 10 * (2000 / hidden_size)^0.0775 for LoRA, the "
      "same without the factor "
      "10 for full fine-tuning (\"LoRA Without Regret\").";
  key.read = [value, read = number.read](const YamlNode& node) {
    if (node.kind == YamlNode::Kind::kScalar && node.text == "auto") {
      value->reset();
      return std::string();
    }
    const std::string problem = node.kind == YamlNode::Kind::kNull ? "is null" : read(node);
    return problem.empty() ? problem
                           : problem + "; expected auto or a number above 0 and at most 1";
  };
  key.write = [value, write = number.write] { return *value ? write() : std::string("auto"); };
  return key;
}

Schema::Key resume_key(std::string* value) {
  Schema::Key key;
  key.name = "resume_from_checkpoint";
  key.type = "auto | none | path";
  key.default_text = *value;
  key.description =
      "auto: go on from the newest whole checkpoint in output_dir, or begin where there is none. "
      "none: begin; refused "
      "when output_dir holds checkpoints. A path: go on from that checkpoint. true and false are "
      "auto and none.";
  key.aliases = {"auto_resume_from_checkpoints"};
  key.read = [value](const YamlNode& node) -> std::string {
    if (node.kind == YamlNode::Kind::kNull ||
        (!node.quoted && is_one_of(node.text, {"false", "False"}))) {
      *value = "none";
    } else if (node.kind != YamlNode::Kind::kScalar || node.text.empty()) {
      return "must be auto, none or the path of a checkpoint";
    } else {
      *value = !node.quoted && is_one_of(node.text, {"true", "True"}) ? "auto" : node.text;
    }
    return "";
  };
  key.write = [value] { return yaml_text(*value); };
  return key;
}

Schema::Key lora_target_key(std::vector<std::string>* value) {
  Schema::Key key;
  key.name = "lora_target";
  key.aliases = {"lora_target_modules", "target_modules"};
  key.type = "all | list of projections";
  key.default_text = "all";
  key.description = "The projections that get an adapter: all, or some of " +
                    join(lora_target_names(), ", ") + ".";
  key.read = [value](const YamlNode& node) { return read_targets(node, value); };
  key.write = [value] {
    return *value == lora_target_names() ? std::string("all") : "[" + join(*value, ", ") + "]";
  };
  return key;
}

}  // namespace weft::trainer
