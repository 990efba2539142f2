// A tokenizer.json; one that is taken must give ids within its vocabulary and text back.
#include "data/tokenizer.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  fuzz::put("tokenizer.json", fuzz::text(data, size));
  fuzz::refuses_or_takes([&] {
    const auto tokenizer = data::load_tokenizer(posix_file_system(), fuzz::folder());
    std::vector<std::int32_t> ids;
    tokenizer->encode("Hello, wörld! <|im_end|> 123\n\n  x", data::SpecialTokens::kParse, ids);
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= tokenizer->vocab_size()) {
        std::abort();
      }
    }
    (void)tokenizer->decode(ids, true);
  });
  return 0;
}
