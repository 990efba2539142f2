#include "base/schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "base/yaml_scalar.h"

namespace weft {
namespace {

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
