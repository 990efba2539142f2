#include "data/sample.h"

namespace weft::data {

std::string Sample::canonical() const {
  std::string text;
  if (desirable) {
    text = *desirable ? "good\n" : "bad\n";
  }
  for (const Part& part : parts) {
    // Lengths before contents, so that no two samples run together to the same text.
    if (part.conversation.is_null()) {
      text += "text " + std::to_string(part.prompt.size()) + ' ' + std::to_string(part.text.size());
      text += '\n' + part.prompt + part.text;
    } else {
      const std::string json = dump_json(part.conversation);
      text += "chat " + std::to_string(json.size()) + '\n' + json;
    }
  }
  return text;
}

}  // namespace weft::data
