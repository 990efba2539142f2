#pragma once

#include "data/chat_template.h"
#include "data/tokenizer.h"

namespace weft::data {

/// Whose turns are targets. A message's own `train` and `weight` win over it.
enum class TrainOn {
  kLast,       ///< the last assistant turn
  kAssistant,  ///< every assistant turn
  kAll         ///< every token but the first: the model learns to write all roles
};

/// What an empty think block is, which Qwen3's template writes into a last turn without reasoning.
enum class EmptyThink {
  kAuto,    ///< kTrain where enable_thinking is true, else kPrompt
  kTrain,   ///< a target: the model learns to decide not to reason
  kPrompt,  ///< as a prompt with enable_thinking: false has it: there, but no target
  kOmit     ///< not there
};

/// What becomes of reasoning in turns before the user's last question, where the template drops it.
enum class MultiTurnReasoning {
  kAuto,  ///< kSplit for a conversation with a target that would lose its reasoning, or kTemplate
  kTemplate,  ///< dropped as the template does: such a turn then teaches not to reason
  kSplit,  ///< each target turn is a sample of its own, with what stood before it when it was said
  kKeep,   ///< kept, which no prompt of the stock template has
  kStrip   ///< no turn has any, the last neither
};

/// How conversations are rendered, and what is to be learned from them. docs/chat.md has examples.
struct ChatOptions {
  ChatTemplate format = ChatTemplate::kQwen3;
  /// How the text of messages is encoded. kParse lets a message write control tokens.
  SpecialTokens content = SpecialTokens::kPlain;
  TrainOn train_on = TrainOn::kAssistant;
  bool train_end_of_turn = true;  ///< whether <|im_end|> after a target turn is a target
  EmptyThink empty_think = EmptyThink::kAuto;
  /// render_chat renders one text, so there kAuto and kSplit are kTemplate.
  MultiTurnReasoning reasoning = MultiTurnReasoning::kAuto;
  bool enable_thinking = true;  ///< for conversations that do not say
};

}  // namespace weft::data
