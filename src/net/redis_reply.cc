#include "net/redis_reply.h"

#include <hiredis/read.h>

#include <utility>

#include "base/check.h"
#include "base/strings.h"

namespace sis::net {
namespace {

// hiredis calls these with the reply under way; a null answer makes it give up. Lists are built in
// place: `obj` of a task is the RedisReply that its items lie in.

// What the reply under way may still take.
struct Bounds {
  int64_t items = 0;
  size_t bytes = 0;
};
Bounds& bounds_of(const redisReadTask* task) { return *static_cast<Bounds*>(task->privdata); }

RedisReply* place_of(const redisReadTask* task) {
  if (task->parent == nullptr) return new RedisReply;
  auto& items = static_cast<RedisReply*>(task->parent->obj)->items;
  const auto index = static_cast<size_t>(task->idx);
  return index < items.size() ? &items[index] : nullptr;
}

void* make_text(const redisReadTask* task, char* bytes, size_t size) {
  if (size > bounds_of(task).bytes) return nullptr;
  bounds_of(task).bytes -= size;
  RedisReply* reply = place_of(task);
  if (reply == nullptr) return nullptr;
  reply->kind = task->type == REDIS_REPLY_ERROR    ? RedisReply::Kind::kError
                : task->type == REDIS_REPLY_STATUS ? RedisReply::Kind::kStatus
                                                   : RedisReply::Kind::kText;
  reply->text.assign(bytes, size);
  return reply;
}

void* make_list(const redisReadTask* task, int items) {
  if (items < 0 || items > bounds_of(task).items) return nullptr;
  RedisReply* reply = place_of(task);
  if (reply == nullptr) return nullptr;
  bounds_of(task).items -= items;
  reply->kind = RedisReply::Kind::kList;
  reply->items.resize(static_cast<size_t>(items));
  return reply;
}

void* make_integer(const redisReadTask* task, long long value) {
  RedisReply* reply = place_of(task);
  if (reply == nullptr) return nullptr;
  reply->kind = RedisReply::Kind::kInteger;
  reply->integer = value;
  return reply;
}

void* make_nil(const redisReadTask* task) { return place_of(task); }

// Called with the outermost reply only.
void free_reply(void* reply) { delete static_cast<RedisReply*>(reply); }

const redisReplyObjectFunctions kFunctions = {make_text, make_list, make_integer, make_nil,
                                              free_reply};

}  // namespace

struct RedisReader::Parts {
  redisReader* reader = nullptr;
  size_t reply_bytes_max = 0;
  Bounds left;
  std::optional<Error> broken;
};

RedisReader::RedisReader(size_t reply_bytes_max) : parts_(std::make_unique<Parts>()) {
  // hiredis takes the table as not const, but only reads it.
  parts_->reader =
      redisReaderCreateWithFunctions(const_cast<redisReplyObjectFunctions*>(&kFunctions));
  SIS_CHECK(parts_->reader != nullptr, "no memory for a reader");
  parts_->reply_bytes_max = reply_bytes_max;
  parts_->left = {kItemsMax, reply_bytes_max};
  parts_->reader->privdata = &parts_->left;
}

RedisReader::~RedisReader() { redisReaderFree(parts_->reader); }

Status RedisReader::feed(std::string_view bytes, std::vector<RedisReply>& replies) {
  Parts& parts = *parts_;
  if (parts.broken) return *parts.broken;
  const auto give_up = [&](std::string message) {
    parts.broken = Error{Code::kInvalidArgument, std::move(message)};
    return *parts.broken;
  };
  redisReader& reader = *parts.reader;
  if (redisReaderFeed(&reader, bytes.data(), bytes.size()) != REDIS_OK)
    return give_up("Redis: no memory for a reply");
  for (;;) {
    void* reply = nullptr;
    if (redisReaderGetReply(&reader, &reply) != REDIS_OK)
      return give_up(reader.err == REDIS_ERR_OOM
                         ? concat("Redis: a reply has more than ", kItemsMax, " items or ",
                                  parts.reply_bytes_max, " bytes")
                         : std::string("Redis: what came is not its protocol"));
    if (reply == nullptr) break;
    const std::unique_ptr<RedisReply> owned(static_cast<RedisReply*>(reply));
    replies.push_back(std::move(*owned));
    parts.left = {kItemsMax, parts.reply_bytes_max};
  }
  if (reader.len - reader.pos > parts.reply_bytes_max)
    return give_up(concat("Redis: a reply is larger than ", parts.reply_bytes_max, " bytes"));
  return {};
}

}  // namespace sis::net
