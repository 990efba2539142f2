#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"

namespace weft {

/// A table of the keys that a config file may hold, each bound to a variable: it reads a YAML map
/// into the variables, reports every error at once, applies `key=value` overrides, and prints the
/// resolved config and its documentation. The variables must outlive the schema.
class Schema {
 public:
  /// What a reader returns: "" when the value was taken, else what was wrong ("must be at least
  /// 1").
  using Reader = std::function<std::string(const YamlNode&)>;
  using Writer =
      std::function<std::string()>;  ///< the variable's value as one line of YAML (flow style)

  struct Key {
    std::string name;
    std::vector<std::string> aliases;  ///< other tools' names, taken with a note in notes()
    std::string type;  ///< for people: "int >= 1", "number", "linear | cosine | …"
    std::string description;
    std::string default_text;  ///< for people; taken from the variable when the key is added
    Reader read;
    Writer write;
  };

  /// Range of a number; both ends are allowed values unless `open_min`.
  struct Range {
    double min;
    double max;
    bool open_min = false;
  };

  Key& add_int(std::string name, std::int64_t* value, Range range, std::string description);
  Key& add_number(std::string name, double* value, Range range, std::string description);
  Key& add_bool(std::string name, bool* value, std::string description);
  Key& add_string(std::string name, std::string* value, std::string description);
  /// A string that is one of `choices`.
  Key& add_choice(std::string name, std::string* value, std::vector<std::string> choices,
                  std::string description);
  Key& add_strings(std::string name, std::vector<std::string>* value, std::string description);
  /// null or absent means "not set".
  Key& add_optional_int(std::string name, std::optional<std::int64_t>* value, Range range,
                        std::string description);
  Key& add_optional_number(std::string name, std::optional<double>* value, Range range,
                           std::string description);
  Key& add_custom(Key key);

  /// Reads `map` into the variables. Throws one config Error that lists every problem, each as
  /// `NAME:LINE: KEY: …`: unknown keys with the nearest known name, wrong types (a quoted number is
  /// a string), values out of range, a key given twice by aliases. Keys of `map` not set keep the
  /// variable's value.
  void read(const YamlNode& map, std::string_view name);
  /// Applies `key=value` words after the file; the value is YAML ("lora_target=[q_proj, v_proj]").
  void override_with(const std::vector<std::string>& assignments);

  /// One line for each alias that was used: "lora_r is read as lora_rank".
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }
  /// Names of keys that were set by read or override_with.
  [[nodiscard]] bool was_set(std::string_view name) const;
  /// All keys with their values, in the order they were added, as a YAML file.
  [[nodiscard]] std::string to_yaml() const;
  /// A Markdown table: key, type, default, meaning, other names.
  [[nodiscard]] std::string to_markdown() const;

 private:
  std::vector<Key> keys_;
  std::vector<std::string> set_;
  std::vector<std::string> notes_;
};

}  // namespace weft
