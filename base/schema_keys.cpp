#include <fmt/format.h>

#include <algorithm>

#include "base/schema.h"
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

}  // namespace weft
