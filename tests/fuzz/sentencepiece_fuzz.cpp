// A SentencePiece model: what passes weft's own reading goes to the library.
#include "data/tokenizer.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  fuzz::put("tokenizer.model", fuzz::text(data, size));
  fuzz::refuses_or_takes([&] {
    const auto tokenizer = data::load_tokenizer(posix_file_system(), fuzz::folder());
    std::vector<std::int32_t> ids;
    tokenizer->encode("Hello, world 123", data::SpecialTokens::kPlain, ids);
    (void)tokenizer->decode(ids, true);
  });
  return 0;
}
