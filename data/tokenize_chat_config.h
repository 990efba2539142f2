#pragma once

#include "base/json.h"
#include "base/schema.h"
#include "data/tokenize_config.h"

namespace weft::data {

/// Adds the keys of `settings` that are about chats; it must outlive the schema.
void add_chat_keys(Schema& schema, TokenizeSettings* settings);

/// The options in the words of the config keys: what shards of chats depend on.
[[nodiscard]] Json chat_recipe(const ChatOptions& options);

}  // namespace weft::data
