// A conversation as JSON, rendered as the chat template does.
#include "base/json.h"
#include "data/chat.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  fuzz::refuses_or_takes([&] {
    const Json json = parse_json(fuzz::text(data, size), "row");
    (void)data::render_chat_text(json, {}, "row");
  });
  return 0;
}
