// A Megatron index beside 64 KiB of ids.
#include "data/megatron.h"
#include "fuzz_support.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace weft;
  static const fs::path ids = fuzz::put("c.bin", std::string(std::size_t{64} << 10, '\1'));
  fuzz::put("c.idx", fuzz::text(data, size));
  fuzz::refuses_or_takes([&] {
    const data::MegatronReader reader(posix_file_system(), ids);
    std::vector<std::int32_t> document;
    for (std::int64_t d = 0; d < reader.documents(); ++d) {
      reader.read(d, document);
    }
  });
  return 0;
}
