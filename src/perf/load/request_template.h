// A request whose path, headers and body have places that differ from request to request.
//
//   {{index}}          the number of the request, from 0
//   {{uuid}}           a random UUID (version 4)
//   {{random 1 100}}   a whole number, both ends included
//   {{words 5}}        made-up words
//   {{line FILE}}      a line of the file, in turn
//   {{json_line FILE}} the same, escaped for the inside of a JSON string
//   {{env NAME}}       the value of an environment variable, when the run starts
//
// What is random depends on the seed, the request's number and the place only. Everything is
// prepared: writing a request allocates nothing once its buffer has grown. Values in a path are
// percent-encoded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/rng.h"
#include "net/http_client.h"

namespace sis::perf {

struct TemplateContext {
  uint64_t seed = 1;
  std::function<std::optional<std::string>(const std::string& name)> environment;
};

class RequestTemplate {
 public:
  // True when the text has a place.
  static bool is_template(std::string_view text);
  // A literal "{{" that begins no known word is an error, which names it.
  static Result<RequestTemplate> create(const net::Url& url, const net::FetchRequest& request,
                                        const TemplateContext& context);

  // The whole bytes of request `index`. Any thread.
  std::string_view write(uint64_t index, std::string& out) const;

 private:
  enum class Kind : uint8_t { kText, kIndex, kUuid, kRandom, kWords, kLines };
  enum class Escape : uint8_t { kNone, kPath };
  struct Piece {
    Kind kind = Kind::kText;
    Escape escape = Escape::kNone;
    std::string text;
    int64_t low = 0, high = 0;                              // kRandom; kWords: low words
    std::shared_ptr<const std::vector<std::string>> lines;  // shared: files may be named often
  };
  struct Mark {  // in the composed request, in place of a piece
    std::string word;
    Piece piece;
  };
  // Takes the places out of `text` and puts marks in.
  static Status take_places(std::string& text, const std::string& where, const std::string& stem,
                            const TemplateContext& context, std::vector<Mark>& marks);
  static Result<Piece> parse_place(std::string_view inside, const std::string& where,
                                   const TemplateContext& context);
  void append(const Piece& piece, size_t place, uint64_t index, std::string& out) const;

  uint64_t seed_ = 1;
  std::vector<Piece> head_, body_;
  bool has_body_ = false;
};

}  // namespace sis::perf
