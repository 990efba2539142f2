#include "base/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "base/yaml_scalar.h"

namespace weft {
namespace {

std::string range_type(std::string_view type, const Schema::Range& range) {
  const bool low = range.min > -kUnbounded;
  const bool high = range.max < kUnbounded;
  if (low && high) {
    return fmt::format("{} in {}{}, {}]", type, range.open_min ? '(' : '[', range.min, range.max);
  }
  if (low) {
    return fmt::format("{} {} {}", type, range.open_min ? ">" : ">=", range.min);
  }
  return high ? fmt::format("{} <= {}", type, range.max) : std::string(type);
}

/// "" when `value` is in the range.
std::string range_problem(double value, const Schema::Range& range, std::string_view text) {
  if (value >= range.min && value <= range.max && !(range.open_min && value <= range.min)) {
    return "";
  }
  const std::string low = fmt::format("{} {}", range.open_min ? "above" : "at least", range.min);
  const std::string high = fmt::format("at most {}", range.max);
  const bool has_low = range.min > -kUnbounded;
  const bool has_high = range.max < kUnbounded;
  return fmt::format("must be {}{}{}, found {}", has_low ? low : "",
                     has_low && has_high ? " and " : "", has_high ? high : "", text);
}

std::string read_ranged_int(const YamlNode& node, const Schema::Range& range, std::int64_t* value) {
  const std::optional<std::int64_t> parsed = yaml_int(node);
  if (!parsed) {
    return "must be an integer, found " + describe_yaml(node);
  }
  std::string problem = range_problem(static_cast<double>(*parsed), range, node.text);
  if (problem.empty()) {
    *value = *parsed;
  }
  return problem;
}

std::string read_ranged_number(const YamlNode& node, const Schema::Range& range, double* value) {
  const std::optional<double> parsed = yaml_number(node);
  if (!parsed) {
    return "must be a number, found " + describe_yaml(node);
  }
  std::string problem = range_problem(*parsed, range, node.text);
  if (problem.empty()) {
    *value = *parsed;
  }
  return problem;
}

std::string read_strings(const YamlNode& node, std::vector<std::string>* value) {
  if (node.kind != YamlNode::Kind::kList) {
    return "must be a list of strings, found " + describe_yaml(node);
  }
  std::vector<std::string> strings;
  for (const YamlNode& item : node.items) {
    if (item.kind != YamlNode::Kind::kScalar) {
      return "must be a list of strings, but holds " + describe_yaml(item);
    }
    strings.push_back(item.text);
  }
  *value = std::move(strings);
  return "";
}

std::string strings_to_yaml(const std::vector<std::string>& strings) {
  std::vector<std::string> words;
  for (const std::string& text : strings) {
    words.push_back(yaml_text(text));
  }
  return "[" + join(words, ", ") + "]";
}

std::string markdown_cell(std::string_view text) {
  std::string cell;
  for (const char c : text) {
    cell += c == '|' ? "\\|" : c == '\n' ? " " : std::string(1, c);
  }
  return cell;
}

/// Reads maps into a schema's keys and gathers what is wrong with them.
class Reading {
 public:
  explicit Reading(const std::vector<Schema::Key>& keys) {
    for (const Schema::Key& key : keys) {
      keys_[key.name] = &key;
      for (const std::string& alias : key.aliases) {
        keys_[alias] = &key;
      }
    }
  }

  std::vector<std::string> set;    ///< names of keys that took a value
  std::vector<std::string> notes;  ///< one for each alias that was used

  void add_problem(std::string_view place, std::string_view problem) {
    problems_.push_back(fmt::format("{}: {}", place, problem));
  }

  /// `place` is where the key stands ("run.yaml:3").
  const Schema::Key* take(std::string_view name, const YamlNode& value, std::string_view place) {
    const auto found = keys_.find(name);
    if (found == keys_.end()) {
      add_problem(place, unknown_key(name));
      return nullptr;
    }
    const Schema::Key& key = *found->second;
    if (const std::string problem = key.read(value); !problem.empty()) {
      add_problem(place, fmt::format("{}: {}", name, problem));
      return &key;
    }
    set.push_back(key.name);
    if (name != key.name) {
      notes.push_back(fmt::format("{} is read as {}", name, key.name));
    }
    return &key;
  }

  void throw_problems() const {
    if (!problems_.empty()) {
      throw Error(ErrorKind::kConfig, join(problems_, "\n"));
    }
  }

 private:
  std::string unknown_key(std::string_view name) const {
    std::vector<std::string> names;
    for (const auto& [known, key] : keys_) {
      names.push_back(known);
    }
    const std::string nearest = nearest_name(name, names);
    return fmt::format("{}: unknown key{}", printable(name),
                       nearest.empty() ? "; see the list of keys in the documentation"
                                       : fmt::format("; did you mean {}?", nearest));
  }

  std::map<std::string, const Schema::Key*, std::less<>> keys_;
  std::vector<std::string> problems_;
};

void add_unique(std::vector<std::string>& list, const std::vector<std::string>& more) {
  for (const std::string& text : more) {
    if (std::find(list.begin(), list.end(), text) == list.end()) {
      list.push_back(text);
    }
  }
}

/// The value of an assignment on the command line: it stands on no line.
YamlNode without_lines(YamlNode node) {
  node.line = 0;
  for (YamlNode& item : node.items) {
    item = without_lines(std::move(item));
  }
  for (auto& member : node.members) {
    member.second = without_lines(std::move(member.second));
  }
  return node;
}

}  // namespace

Schema::Key& Schema::add_int(std::string name, std::int64_t* value, Range range,
                             std::string description) {
  return add_custom({std::move(name),
                     {},
                     range_type("int", range),
                     std::move(description),
                     "",
                     [=](const YamlNode& node) { return read_ranged_int(node, range, value); },
                     [=] { return fmt::format("{}", *value); }});
}

Schema::Key& Schema::add_number(std::string name, double* value, Range range,
                                std::string description) {
  return add_custom({std::move(name),
                     {},
                     range_type("number", range),
                     std::move(description),
                     "",
                     [=](const YamlNode& node) { return read_ranged_number(node, range, value); },
                     [=] { return yaml_number_text(*value); }});
}

Schema::Key& Schema::add_bool(std::string name, bool* value, std::string description) {
  const auto read = [=](const YamlNode& node) -> std::string {
    const std::optional<bool> parsed = yaml_bool(node);
    if (!parsed) {
      return "must be true or false, found " + describe_yaml(node);
    }
    *value = *parsed;
    return "";
  };
  return add_custom({std::move(name), {}, "true | false", std::move(description), "", read, [=] {
                       return *value ? "true" : "false";
                     }});
}

Schema::Key& Schema::add_string(std::string name, std::string* value, std::string description) {
  const auto read = [=](const YamlNode& node) -> std::string {
    if (node.kind != YamlNode::Kind::kScalar) {
      return "must be a string, found " + describe_yaml(node);
    }
    *value = node.text;
    return "";
  };
  return add_custom({std::move(name), {}, "string", std::move(description), "", read, [=] {
                       return yaml_text(*value);
                     }});
}

Schema::Key& Schema::add_choice(std::string name, std::string* value,
                                std::vector<std::string> choices, std::string description) {
  std::string type = join(choices, " | ");
  const auto read = [value, choices = std::move(choices)](const YamlNode& node) -> std::string {
    if (node.kind == YamlNode::Kind::kScalar &&
        std::find(choices.begin(), choices.end(), node.text) != choices.end()) {
      *value = node.text;
      return "";
    }
    const std::string nearest = nearest_name(node.text, choices);
    return fmt::format("must be one of {}; found {}{}", join(choices, ", "), describe_yaml(node),
                       nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest));
  };
  return add_custom({std::move(name), {}, std::move(type), std::move(description), "", read, [=] {
                       return yaml_text(*value);
                     }});
}

Schema::Key& Schema::add_strings(std::string name, std::vector<std::string>* value,
                                 std::string description) {
  return add_custom({std::move(name),
                     {},
                     "list of strings",
                     std::move(description),
                     "",
                     [=](const YamlNode& node) { return read_strings(node, value); },
                     [=] { return strings_to_yaml(*value); }});
}

Schema::Key& Schema::add_optional_int(std::string name, std::optional<std::int64_t>* value,
                                      Range range, std::string description) {
  const auto read = [=](const YamlNode& node) -> std::string {
    if (node.kind == YamlNode::Kind::kNull) {
      value->reset();
      return "";
    }
    std::int64_t parsed = 0;
    std::string problem = read_ranged_int(node, range, &parsed);
    if (problem.empty()) {
      *value = parsed;
    }
    return problem;
  };
  return add_custom({std::move(name),
                     {},
                     range_type("int", range) + ", or null",
                     std::move(description),
                     "",
                     read,
                     [=] { return *value ? fmt::format("{}", **value) : "null"; }});
}

Schema::Key& Schema::add_optional_number(std::string name, std::optional<double>* value,
                                         Range range, std::string description) {
  const auto read = [=](const YamlNode& node) -> std::string {
    if (node.kind == YamlNode::Kind::kNull) {
      value->reset();
      return "";
    }
    double parsed = 0;
    std::string problem = read_ranged_number(node, range, &parsed);
    if (problem.empty()) {
      *value = parsed;
    }
    return problem;
  };
  return add_custom({std::move(name),
                     {},
                     range_type("number", range) + ", or null",
                     std::move(description),
                     "",
                     read,
                     [=] { return *value ? yaml_number_text(**value) : "null"; }});
}

Schema::Key& Schema::add_custom(Key key) {
  if (key.default_text.empty()) {
    key.default_text = key.write();
  }
  return keys_.emplace_back(std::move(key));
}

void Schema::read(const YamlNode& map, std::string_view name) {
  if (map.kind != YamlNode::Kind::kMap && map.kind != YamlNode::Kind::kNull) {
    fail_config("{}:{}: expected lines of \"key: value\", found {}", name, map.line,
                describe_yaml(map));
  }
  Reading reading(keys_);
  std::map<const Key*, std::pair<std::string, int>> first_use;
  for (const auto& [key_name, value] : map.members) {
    const std::string place = fmt::format("{}:{}", name, value.line);
    const Key* const key = reading.take(key_name, value, place);
    if (key == nullptr) {
      continue;
    }
    const auto [first, is_new] = first_use.try_emplace(key, key_name, value.line);
    if (!is_new) {
      reading.add_problem(place, fmt::format("{}: means the same key as {} in line {}; keep one",
                                             key_name, first->second.first, first->second.second));
    }
  }
  reading.throw_problems();
  add_unique(set_, reading.set);
  add_unique(notes_, reading.notes);
}

void Schema::override_with(const std::vector<std::string>& assignments) {
  constexpr std::string_view kPlace = "command line";
  Reading reading(keys_);
  for (const std::string& assignment : assignments) {
    const std::size_t equals = assignment.find('=');
    if (equals == assignment.npos || equals == 0) {
      reading.add_problem(kPlace, fmt::format("\"{}\": expected key=value", printable(assignment)));
      continue;
    }
    const std::string key = assignment.substr(0, equals);
    try {
      reading.take(key, without_lines(parse_yaml(assignment.substr(equals + 1), key)), kPlace);
    } catch (const Error& error) {
      reading.add_problem(kPlace, error.what());
    }
  }
  reading.throw_problems();
  add_unique(set_, reading.set);
  add_unique(notes_, reading.notes);
}

bool Schema::was_set(std::string_view name) const {
  return std::find(set_.begin(), set_.end(), name) != set_.end();
}

std::string Schema::to_yaml() const {
  std::string text;
  for (const Key& key : keys_) {
    text += fmt::format("{}: {}\n", key.name, key.write());
  }
  return text;
}

std::string Schema::to_markdown() const {
  std::string text =
      "| key | type | default | meaning | other names |\n| --- | --- | --- | --- | --- |\n";
  for (const Key& key : keys_) {
    std::vector<std::string> aliases;
    for (const std::string& alias : key.aliases) {
      aliases.push_back("`" + alias + "`");
    }
    text += fmt::format("| `{}` | {} | `{}` | {} | {} |\n", key.name, markdown_cell(key.type),
                        markdown_cell(key.default_text), markdown_cell(key.description),
                        join(aliases, ", "));
  }
  return text;
}

}  // namespace weft
