#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "trainer/run_config_keys.h"

namespace weft::trainer {

namespace {

using Members = std::vector<std::pair<std::string, YamlNode>>;

bool is_plain(const YamlNode& node, std::string_view word) {
  return node.kind == YamlNode::Kind::kScalar && !node.quoted &&
         std::equal(
             node.text.begin(), node.text.end(), word.begin(), word.end(),
             [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

YamlNode scalar(std::string text, int line) {
  YamlNode node;
  node.kind = YamlNode::Kind::kScalar;
  node.text = std::move(text);
  node.line = line;
  return node;
}

struct Translation {
  Members members;
  std::vector<std::string> notes;
  std::string problem;
};

Translation scheduler_kwargs(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kNull) {
    return {};
  }
  if (node.kind != YamlNode::Kind::kMap) {
    return {.members = {}, .notes = {}, .problem = "must be a map, such as {num_cycles: 2}"};
  }
  return {.members = node.members,
          .notes = {"the entries of lr_scheduler_kwargs are read as keys of their own"},
          .problem = ""};
}

Translation bf16(const YamlNode& node) {
  if (is_plain(node, "true")) {
    return {.members = {{"dtype", scalar("bf16", node.line)}},
            .notes = {"bf16: true is read as dtype: bf16"},
            .problem = ""};
  }
  if (is_plain(node, "false") || is_plain(node, "auto")) {
    return {.members = {},
            .notes = {fmt::format("bf16: {} is left to dtype", node.text)},
            .problem = ""};
  }
  return {.members = {}, .notes = {}, .problem = "must be true, false or auto; or set dtype"};
}

Translation fp16(const YamlNode& node) {
  if (is_plain(node, "false")) {
    return {};
  }
  return {.members = {},
          .notes = {},
          .problem = "weft does not train in fp16; set dtype: bf16 or fp32"};
}

Translation fp8(const YamlNode& node) {
  if (is_plain(node, "true")) {
    return {.members = {{"base_dtype", scalar("fp8", node.line)}},
            .notes = {"fp8: true is read as base_dtype: fp8"},
            .problem = ""};
  }
  if (is_plain(node, "false")) {
    return {};
  }
  return {.members = {}, .notes = {}, .problem = "must be true or false; or set base_dtype"};
}

Translation target_linear(const YamlNode& node) {
  if (is_plain(node, "true")) {
    return {.members = {{"lora_target", scalar("all", node.line)}},
            .notes = {"lora_target_linear: true is read as lora_target: all"},
            .problem = ""};
  }
  return {.members = {},
          .notes = {},
          .problem = "only true has a meaning; list the projections in lora_target instead"};
}

Translation optimizer(const YamlNode& node) {
  static constexpr std::array kAdamW = {"adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf"};
  if (std::any_of(kAdamW.begin(), kAdamW.end(),
                  [&node](std::string_view name) { return is_plain(node, name); })) {
    return {.members = {},
            .notes = {fmt::format("the optimizer {} is what weft always uses", node.text)},
            .problem = ""};
  }
  return {.members = {},
          .notes = {},
          .problem = fmt::format("is {}; weft's optimizer is AdamW: leave this key out",
                                 printable(node.text))};
}

struct ForeignKey {
  std::string_view name;
  Translation (*translate)(const YamlNode& node);
};

constexpr ForeignKey kForeignKeys[] = {{"lr_scheduler_kwargs", scheduler_kwargs},
                                       {"bf16", bf16},
                                       {"fp16", fp16},
                                       {"fp8", fp8},
                                       {"lora_target_linear", target_linear},
                                       {"optim", optimizer},
                                       {"optimizer", optimizer}};

}  // namespace

void translate_foreign_keys(YamlNode& map, std::string_view name, std::vector<std::string>& notes,
                            std::vector<std::string>& problems) {
  for (const ForeignKey& foreign : kForeignKeys) {
    const auto found =
        std::find_if(map.members.begin(), map.members.end(),
                     [&foreign](const auto& member) { return member.first == foreign.name; });
    if (found == map.members.end()) {
      continue;
    }
    const YamlNode node = found->second;
    map.members.erase(found);
    Translation translation = foreign.translate(node);
    if (!translation.problem.empty()) {
      problems.push_back(
          fmt::format("{}:{}: {}: {}", name, node.line, foreign.name, translation.problem));
    }
    for (auto& member : translation.members) {
      if (map.find(member.first) != nullptr) {
        problems.push_back(fmt::format("{}:{}: {}: {} is also set by itself", name, node.line,
                                       foreign.name, member.first));
      } else {
        map.members.push_back(std::move(member));
      }
    }
    notes.insert(notes.end(), translation.notes.begin(), translation.notes.end());
  }
}

}  // namespace weft::trainer
