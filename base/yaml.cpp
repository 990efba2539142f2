#include "base/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <sstream>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"

namespace weft {
namespace {

constexpr std::size_t kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 100'000;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{16} << 20;

/// Builds the tree from yaml-cpp's events, and refuses what a config has no use for.
class YamlBuilder final : public YAML::EventHandler {
 public:
  YamlBuilder(std::string_view text, std::string_view name)
      : name_(name), rows_(split(text, '\n')) {}

  YamlNode take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      fail_at(mark, "a second document begins here; a config is one document");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    add(mark, {});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    fail_at(mark, "aliases (*name) are not supported; write the value out");
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag == "!" ? "" : tag, anchor);
    YamlNode node;
    node.kind = YamlNode::Kind::kScalar;
    node.text = value;
    node.quoted = tag == "!";  // so yaml-cpp marks every scalar that is not plain
    add(mark, std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { open_.pop_back(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { open_.pop_back(); }

 private:
  /// A list or map whose items are being read. `node` stays valid: until it ends, only values
  /// inside it are added.
  struct Open {
    YamlNode* node = nullptr;
    bool has_key = false;
    std::string key;
    YAML::Mark key_mark;
    bool key_quoted = false;
    std::unordered_map<std::string, int> key_lines;
  };

  [[noreturn]] void fail_at(const YAML::Mark& mark, std::string_view problem) const {
    fail_config("{}:{}: {}", name_, mark.line + 1, problem);
  }

  void check(const YAML::Mark& mark, std::string_view tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      fail_at(mark, "anchors (&name) are not supported; write the value out");
    }
    if (!tag.empty() && tag != "?") {
      fail_at(mark, "tags (!name) are not supported; remove \"" + printable(tag) + "\"");
    }
    if (++nodes_ > kMaxNodes) {
      fail_at(mark, fmt::format("more than {} values", kMaxNodes));
    }
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    check(mark, tag, anchor);
    if (open_.size() >= kMaxDepth) {
      fail_at(mark, fmt::format("nested deeper than {} levels", kMaxDepth));
    }
    YamlNode node;
    node.kind = kind;
    Open entry;
    entry.node = add(mark, std::move(node));
    open_.push_back(std::move(entry));
  }

  YamlNode* add(const YAML::Mark& mark, YamlNode node) {
    node.line = mark.line + 1;
    if (open_.empty()) {
      root_ = std::move(node);
      return &root_;
    }
    Open& parent = open_.back();
    if (parent.node->kind == YamlNode::Kind::kList) {
      parent.node->items.push_back(std::move(node));
      return &parent.node->items.back();
    }
    if (!parent.has_key) {
      take_key(mark, parent, std::move(node));
      return nullptr;
    }
    if (node.kind == YamlNode::Kind::kNull) {
      check_colon(parent);
      node.line = parent.key_mark.line + 1;  // yaml-cpp gives the next token's line
    }
    parent.has_key = false;
    parent.node->members.emplace_back(std::move(parent.key), std::move(node));
    return &parent.node->members.back().second;
  }

  void take_key(const YAML::Mark& mark, Open& map, YamlNode node) {
    if (node.kind != YamlNode::Kind::kScalar) {
      fail_at(mark, "a key must be a plain word; or is a bracket not closed?");
    }
    const auto [first, is_new] = map.key_lines.emplace(node.text, node.line);
    if (!is_new) {
      fail_at(mark, fmt::format("the key \"{}\" stands twice, first in line {}",
                                printable(node.text), first->second));
    }
    map.has_key = true;
    map.key = std::move(node.text);
    map.key_mark = mark;
    map.key_quoted = node.quoted;
  }

  /// yaml-cpp takes a last line "key" without a colon for "key:".
  void check_colon(const Open& map) const {
    const auto line = static_cast<std::size_t>(map.key_mark.line);
    std::string_view rest = rows_.at(line).substr(static_cast<std::size_t>(map.key_mark.column));
    rest.remove_prefix(map.key_quoted ? rest.find_last_of("'\"") + 1 : map.key.size());
    const std::size_t next = rest.find_first_not_of(" \t");
    if (next == rest.npos || rest[next] != ':') {
      fail_at(map.key_mark,
              fmt::format("expected \"{}: value\"; is a colon missing, or a bracket not closed?",
                          printable(map.key)));
    }
  }

  std::string_view name_;
  std::vector<std::string_view> rows_;
  YamlNode root_;
  std::vector<Open> open_;
  int documents_ = 0;
  std::size_t nodes_ = 0;
};

/// What yaml-cpp would take silently: it replaces bad UTF-8, and ends the text at some control
/// characters.
void check_characters(std::string_view text, std::string_view name) {
  int line = 1;
  for (const std::string_view row : split(text, '\n')) {
    if (!is_utf8(row)) {
      fail_config("{}:{}: not valid UTF-8", name, line);
    }
    const auto control = std::find_if(row.begin(), row.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return (byte < 0x20 && c != '\t' && c != '\r') || byte == 0x7F;
    });
    if (control != row.end()) {
      fail_config("{}:{}: a control character ({})", name, line,
                  printable(std::string_view(&*control, 1)));
    }
    ++line;
  }
}

}  // namespace

YamlNode::YamlNode() = default;
YamlNode::~YamlNode() = default;
YamlNode::YamlNode(const YamlNode&) = default;
YamlNode::YamlNode(YamlNode&&) noexcept = default;
YamlNode& YamlNode::operator=(const YamlNode&) = default;
YamlNode& YamlNode::operator=(YamlNode&&) noexcept = default;

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto member = std::find_if(members.begin(), members.end(),
                                   [&](const auto& entry) { return entry.first == key; });
  return member == members.end() ? nullptr : &member->second;
}

YamlNode parse_yaml(std::string_view text, std::string_view name) {
  check_characters(text, name);
  if (text.starts_with("\xEF\xBB\xBF")) {  // a byte order mark
    text.remove_prefix(3);
  }
  // The end marker makes yaml-cpp see a quote that is still open; it takes the end of the text for
  // its end.
  std::istringstream stream(std::string(text) + (text.ends_with('\n') ? "" : "\n") + "...\n");
  YamlBuilder builder(text, name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail_config("{}:{}: not valid YAML: {}", name, error.mark.line + 1, printable(error.msg));
  }
  return builder.take();
}

YamlNode read_yaml(FileSystem& files, const fs::path& path) {
  return parse_yaml(read_file(files, path, kMaxFileBytes), path.string());
}

}  // namespace weft
