// The formats of JSON Schema as patterns.
#include <array>
#include <unordered_map>

#include "infer/text/grammar/string_rules.h"

namespace sis::text::grammar {
namespace {

// Years from 0001, every month with its days, 29 February in leap years only.
#define SIS_YEAR "(\\d{3}[1-9]|\\d{2}[1-9]\\d|\\d[1-9]\\d{2}|[1-9]\\d{3})"
#define SIS_LEAP_YEAR "(\\d{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
#define SIS_DATE                               \
  "(" SIS_YEAR                                 \
  "-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|" \
  "(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))|" SIS_LEAP_YEAR "-02-29)"
#define SIS_TIME "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
// Of at most 63 characters, and of any number: beside other parts and a length the count would make
// sixty times the states.
#define SIS_LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define SIS_HOST_LABEL "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
#define SIS_HOST SIS_HOST_LABEL "(\\." SIS_HOST_LABEL ")*"
#define SIS_ATOM "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
#define SIS_OCTET "(25[0-5]|2[0-4]\\d|1\\d{2}|[1-9]?\\d)"
#define SIS_IPV4 SIS_OCTET "(\\." SIS_OCTET "){3}"
#define SIS_H16 "[0-9A-Fa-f]{1,4}"
#define SIS_LS32 "(" SIS_H16 ":" SIS_H16 "|" SIS_IPV4 ")"
#define SIS_PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define SIS_DUR_TIME "T(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)"

const std::unordered_map<std::string_view, std::string_view>& patterns() {
  static const std::unordered_map<std::string_view, std::string_view> table{
      {"date", SIS_DATE},
      {"time", SIS_TIME},
      {"date-time", SIS_DATE "T" SIS_TIME},
      {"duration",
       "P((\\d+D|\\d+M(\\d+D)?|\\d+Y(\\d+M(\\d+D)?)?)(" SIS_DUR_TIME ")?|" SIS_DUR_TIME "|\\d+W)"},
      {"uuid", "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"},
      {"email", SIS_ATOM "(\\." SIS_ATOM ")*@" SIS_HOST_LABEL "\\." SIS_HOST},
      {"hostname", SIS_LABEL "(\\." SIS_LABEL ")*"},
      {"ipv4", SIS_IPV4},
      // RFC 3986's nine forms.
      {"ipv6",
       "(" SIS_H16 ":){6}" SIS_LS32 "|::(" SIS_H16 ":){5}" SIS_LS32 "|(" SIS_H16 ")?::(" SIS_H16
       ":){4}" SIS_LS32 "|((" SIS_H16 ":){0,1}" SIS_H16 ")?::(" SIS_H16 ":){3}" SIS_LS32
       "|((" SIS_H16 ":){0,2}" SIS_H16 ")?::(" SIS_H16 ":){2}" SIS_LS32 "|((" SIS_H16
       ":){0,3}" SIS_H16 ")?::" SIS_H16 ":" SIS_LS32 "|((" SIS_H16 ":){0,4}" SIS_H16 ")?::" SIS_LS32
       "|((" SIS_H16 ":){0,5}" SIS_H16 ")?::" SIS_H16 "|((" SIS_H16 ":){0,6}" SIS_H16 ")?::"},
      {"uri", "[A-Za-z][A-Za-z0-9+.-]*:(//" SIS_HOST "(:\\d{1,5})?(/" SIS_PCHAR "*)*|" SIS_PCHAR
              "+(/" SIS_PCHAR "*)*)(\\?(" SIS_PCHAR "|[/?])*)?(#(" SIS_PCHAR "|[/?])*)?"},
      {"json-pointer", "(/([^/~]|~[01])*)*"},
  };
  return table;
}

#undef SIS_YEAR
#undef SIS_LEAP_YEAR
#undef SIS_DATE
#undef SIS_TIME
#undef SIS_LABEL
#undef SIS_HOST_LABEL
#undef SIS_HOST
#undef SIS_ATOM
#undef SIS_OCTET
#undef SIS_IPV4
#undef SIS_H16
#undef SIS_LS32
#undef SIS_PCHAR
#undef SIS_DUR_TIME

}  // namespace

std::optional<std::string_view> format_pattern(std::string_view format) {
  const auto found = patterns().find(format);
  return found == patterns().end() ? std::nullopt : std::optional(found->second);
}

}  // namespace sis::text::grammar
