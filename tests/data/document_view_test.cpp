#include "data/document_view.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "tokenize_test_support.h"

namespace weft::data {
namespace {

using testing::ElementsAre;

Document document(std::string_view text, std::size_t first_target) {
  Document made;
  made.ids = byte_ids(text);
  made.mask.assign(made.ids.size(), 0);
  for (std::size_t i = first_target; i < made.mask.size(); ++i) {
    made.mask[i] = 1;
  }
  return made;
}

std::vector<std::string> texts(const std::vector<ViewPiece>& pieces) {
  std::vector<std::string> all;
  for (const ViewPiece& piece : pieces) {
    all.push_back(piece.text);
  }
  return all;
}

TEST(DocumentView, StretchesOfAKindArePieces) {
  const ByteTokenizer tokenizer;
  const auto pieces = view_document(document("<|im_start|>hi<|im_end|>yo", 4), &tokenizer);
  EXPECT_THAT(texts(pieces), ElementsAre("<id 257>", "hi", "<id 258>", "yo"));
  EXPECT_EQ(pieces[0].kind, ViewPiece::Kind::kSpecial);
  EXPECT_EQ(pieces[1].tokens, 2);
  EXPECT_EQ(pieces[3].first_token, 4);
  EXPECT_TRUE(pieces[3].target);
  EXPECT_FALSE(pieces[2].target);
}

TEST(DocumentView, EachTokenCanBeAPiece) {
  const ByteTokenizer tokenizer;
  const auto pieces = view_document(document("añ", 1), &tokenizer, {.each_token = true});
  EXPECT_THAT(texts(pieces), ElementsAre("a", "\\xc3", "\\xb1"));
  EXPECT_EQ(view_text(pieces, ViewStyle::kMarkers, true), "a⟦│\\xc3│\\xb1⟧");
}

TEST(DocumentView, WithoutATokenizerItShowsIds) {
  EXPECT_THAT(texts(view_document(document("AB", 1), nullptr)), ElementsAre("65 ", "66 "));
}

TEST(DocumentView, NothingReachesATerminalRaw) {
  EXPECT_EQ(visible_text("a\x1b[31mb\x07\r\n\tc"), "a\\x1b[31mb\\x07\\x0d\n\tc");
  EXPECT_EQ(visible_text("\xc2\x9b"), "\\u009b");          // a one-byte CSI
  EXPECT_EQ(visible_text("x\xe2\x80\xaey"), "x\\u202ey");  // turns the direction
  EXPECT_EQ(visible_text("ok\xe4\xbd"), "ok\\xe4\\xbd");   // a cut character
  EXPECT_EQ(visible_text("你好 größer 🙂"), "你好 größer 🙂");
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
  }
  const std::string visible = visible_text(all);
  EXPECT_TRUE(is_utf8(visible));
  for (const char c : visible) {
    EXPECT_TRUE(c == '\n' || c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f));
  }
}

TEST(DocumentView, TargetsAndControlTokensAreColouredOrMarked) {
  const ByteTokenizer tokenizer;
  const auto pieces = view_document(document("a<|im_end|>b", 1), &tokenizer);
  EXPECT_EQ(view_text(pieces, ViewStyle::kMarkers), "a⟦‹<id 258>›b⟧");
  EXPECT_EQ(view_text(pieces, ViewStyle::kColor), "a\x1b[1;35m<id 258>\x1b[0m\x1b[32mb\x1b[0m");
}

TEST(DocumentView, InHtmlTextIsEscapedAndKindsAreClasses) {
  const ByteTokenizer tokenizer;
  const auto pieces = view_document(document("<b>&<|im_end|>\"'", 3), &tokenizer);
  EXPECT_EQ(view_html(pieces),
            "&lt;b&gt;<span class=\"target\">&amp;</span><span class=\"target special\">&lt;id "
            "258&gt;</span><span class=\"target\">&quot;&#39;</span>");
  EXPECT_THAT(view_html(view_document(document("ab", 1), &tokenizer, {.each_token = true}), true),
              "<span class=\"token\">a</span><span class=\"token target\">b</span>");
}

TEST(DocumentView, OfALongDocumentTheBeginningAndTheFirstTargetAreShown) {
  const ByteTokenizer tokenizer;
  const Document made = document(std::string(500, 'p') + std::string(500, 't'), 500);
  const auto pieces = view_document(made, &tokenizer, {.max_tokens = 80});
  EXPECT_THAT(texts(pieces),
              ElementsAre(std::string(40, 'p'), "… 450 tokens …", std::string(10, 'p'),
                          std::string(30, 't'), "… 470 tokens …"));
  std::int64_t tokens = 0;
  for (const ViewPiece& piece : pieces) {
    EXPECT_EQ(piece.first_token, tokens);
    tokens += piece.tokens;
  }
  EXPECT_EQ(tokens, 1000);
  EXPECT_THAT(
      texts(view_document(document(std::string(100, 'x'), 1), &tokenizer, {.max_tokens = 50})),
      ElementsAre("x", std::string(49, 'x'), "… 50 tokens …"));
}

}  // namespace
}  // namespace weft::data
