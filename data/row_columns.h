#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace weft::data {

/// What the columns of a row are called, and what its messages call their parts: a dataset's field
/// map. Names that are not mapped are their own.
struct RowFields {
  /// Of column_names() to names in the data; "" for a column that is not to be read.
  std::map<std::string, std::string> columns = {};
  /// Of tag_names() to names in the data.
  std::map<std::string, std::string> tags = {};

  bool operator==(const RowFields&) const = default;
};

/// The keys that RowFields::columns may have: text, messages, conversations, tools, system,
/// instruction, input, output, reasoning, history, prompt, completion, chosen, rejected, label.
[[nodiscard]] std::span<const std::string> column_names();
/// The same for RowFields::tags: role_tag and content_tag, the members of a message; user_tag,
/// assistant_tag, system_tag, observation_tag and function_tag, the words for its roles.
[[nodiscard]] std::span<const std::string> tag_names();
/// The column that another tool calls `name` (query, response, kto_tag), or `name` itself.
[[nodiscard]] std::string canonical_column(const std::string& name);

/// A row and the field map it is read with. Errors begin with the row's name and speak of columns
/// as the data calls them.
class RowView {
 public:
  /// All must outlive it.
  RowView(const Json& row, const RowFields& fields, std::string_view name)
      : row_(row), fields_(fields), name_(name) {}

  /// What the data calls a column.
  [[nodiscard]] std::string called(std::string_view column) const;
  /// The value; nullptr when it is absent, null or not to be read.
  [[nodiscard]] const Json* find(std::string_view column) const;
  /// The value, which must be a string; a data Error when it is absent.
  [[nodiscard]] const std::string& text(std::string_view column) const;
  /// The string, or "" when it is absent.
  [[nodiscard]] std::string text_or_empty(std::string_view column) const;
  /// A list, or a string that holds one as JSON, as tables have it; null when it is absent or "".
  [[nodiscard]] Json list(std::string_view column) const;
  /// true and false, also as 1, 0, "true" and "false"; a data Error for anything else.
  [[nodiscard]] bool truth(std::string_view column) const;
  /// Whether truth() would give an answer.
  [[nodiscard]] bool is_truth(std::string_view column) const;

  [[nodiscard]] const RowFields& fields() const { return fields_; }
  [[nodiscard]] std::string_view name() const { return name_; }
  [[nodiscard]] const Json& row() const { return row_; }

 private:
  const Json& row_;
  const RowFields& fields_;
  std::string_view name_;
};

}  // namespace weft::data
