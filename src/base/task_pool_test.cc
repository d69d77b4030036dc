#include "base/task_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

namespace sis {
namespace {

// A job that throws ends alone: what it owned is let go of, it is told why, and the next one runs
// on the same thread.
TEST(TaskPool, AJobThatThrowsEndsAlone) {
  std::vector<std::string> told;
  std::weak_ptr<int> owned;
  bool let_go = false;
  {
    TaskPool pool("test-pool", 1, 10, [&](std::string_view name, std::string_view why) {
      told.push_back(std::string(name) + ": " + std::string(why));
    });
    auto request = std::make_shared<int>(1);
    owned = request;
    ASSERT_TRUE(pool.post([request = std::move(request)] { throw std::runtime_error("no luck"); }));
    pool.post_always([] { throw std::bad_alloc(); });
    pool.post_always([] { throw 7; });
    std::promise<void> ran;
    pool.post_always([&] {
      let_go = owned.expired();
      ran.set_value();
    });
    ran.get_future().wait();
  }
  EXPECT_TRUE(let_go);
  EXPECT_EQ(told, (std::vector<std::string>{"test-pool: no luck", "test-pool: std::bad_alloc",
                                            "test-pool: an exception of unknown kind"}));
}

TEST(Periodic, GoesOnAfterACallThatThrew) {
  std::atomic<int> calls{0};
  std::promise<void> third;
  Periodic periodic(
      "test-timer", std::chrono::milliseconds(1),
      [&] {
        if (++calls == 3) third.set_value();
        if (calls < 3) throw std::runtime_error("no luck");
      },
      [](std::string_view, std::string_view) {});
  third.get_future().wait();
}

}  // namespace
}  // namespace sis
