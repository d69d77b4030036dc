// GPT-2's way to write bytes as printable characters, so that any text has a vocabulary of 256.
//
// Printable Latin-1 stands for itself, the other 68 bytes are U+0100 onwards in order. Const
// tables; any thread.
#pragma once

#include <string>
#include <string_view>

#include "infer/text/tokenizer/normalizer.h"
#include "infer/text/tokenizer/pre_tokenizer.h"

namespace sis::text::tok {

// The character that byte is written as, in UTF-8.
std::string_view byte_character(unsigned char byte);
// The byte that `c` stands for, -1 when it stands for none.
int character_byte(char32_t c);
// Appends the bytes that `token` stands for; its own where a character of it stands for none.
void append_token_bytes(std::string_view token, std::string& out);

Result<std::unique_ptr<Normalizer>> make_byte_level_normalizer(const JsonObject& config);
Result<std::unique_ptr<PreTokenizer>> make_byte_level_pre_tokenizer(const JsonObject& config);

}  // namespace sis::text::tok
