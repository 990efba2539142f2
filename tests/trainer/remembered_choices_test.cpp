#include "trainer/remembered_choices.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/temp_folder.h"

namespace weft::trainer {
namespace {

// Sets an environment variable for a while; null: it is not there.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* const before = std::getenv(name)) {
      before_ = before;
    }
    set(value);
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;
  ~Variable() { set(before_ ? before_->c_str() : nullptr); }

 private:
  void set(const char* value) {
    value == nullptr ? unsetenv(name_) : setenv(name_, value, /*overwrite=*/1);
  }

  const char* name_;
  std::optional<std::string> before_;
};

TEST(RememberedChoices, AreFoundByTheNextOne) {
  const test::TempFolder temp;
  const fs::path folder = temp / "not/yet/there";
  RememberedChoices first(posix_file_system(), folder);
  EXPECT_EQ(first.find("a"), std::nullopt);
  first.remember("a", "plain");
  first.remember("b", "extended");
  RememberedChoices next(posix_file_system(), folder);
  EXPECT_EQ(next.find("a"), "plain");
  EXPECT_EQ(next.find("b"), "extended");
  EXPECT_EQ(next.find("c"), std::nullopt);
  next.remember("a", "extended");
  EXPECT_EQ(first.find("a"), "plain") << "the first one counts";
}

TEST(RememberedChoices, ADamagedFileIsWrittenAnew) {
  const test::TempFolder temp;
  RememberedChoices choices(posix_file_system(), temp.path());
  choices.remember("a", "plain");
  const fs::path file = fs::directory_iterator(temp.path())->path();
  for (const char* text : {"", "{\"of\": \"a\", \"cho", "[1, 2]", "{\"of\": \"a\"}",
                           "{\"of\": \"b\", \"choice\": \"plain\"}"}) {
    publish_file(posix_file_system(), file, std::string_view(text));
    EXPECT_EQ(choices.find("a"), std::nullopt) << text;
    choices.remember("a", "extended");
    EXPECT_EQ(choices.find("a"), "extended") << text;
  }
}

TEST(RememberedChoices, WhereNothingCanBeKeptNothingIs) {
  const test::TempFolder temp;
  publish_file(posix_file_system(), temp / "file", std::string_view("no folder"));
  RememberedChoices below_a_file(posix_file_system(), temp / "file/choices");
  below_a_file.remember("a", "plain");
  EXPECT_EQ(below_a_file.find("a"), std::nullopt);
  RememberedChoices nowhere(posix_file_system(), {});
  nowhere.remember("a", "plain");
  EXPECT_EQ(nowhere.find("a"), std::nullopt);
}

TEST(RememberedChoices, AreInTheFolderForCaches) {
  const Variable home("HOME", "/home/someone");
  {
    const Variable cache("XDG_CACHE_HOME", "/caches");
    EXPECT_EQ(RememberedChoices::default_folder(), "/caches/weft/choices");
  }
  for (const char* none : {static_cast<const char*>(nullptr), "", "relative"}) {
    const Variable cache("XDG_CACHE_HOME", none);
    EXPECT_EQ(RememberedChoices::default_folder(), "/home/someone/.cache/weft/choices");
    const Variable homeless("HOME", nullptr);
    EXPECT_EQ(RememberedChoices::default_folder(), "");
  }
}

}  // namespace
}  // namespace weft::trainer
