#pragma once

#include <string>
#include <string_view>

namespace weft::kernels {

/// Whether code compiled for `architectures` ("80;90a;100", as nvcc's sm_ numbers) runs on a GPU of
/// compute capability `capability` (90 for 9.0): the same major version, a minor one that is not
/// smaller; an architecture with an "a" runs on exactly its own.
[[nodiscard]] bool architectures_cover(std::string_view architectures, int capability);

}  // namespace weft::kernels
