// A conversation as JSON, rendered as the chat template does, and the same bytes as a template.
#include "base/json.h"
#include "data/chat.h"
#include "data/chat_template.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  (void)data::recognise_chat_template(fuzz::text(data, size));
  fuzz::refuses_or_takes([&] {
    const Json json = parse_json(fuzz::text(data, size), "row");
    (void)data::render_chat_text(json, {}, "row");
  });
  return 0;
}
