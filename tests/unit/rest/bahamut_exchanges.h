/* bahamut_exchanges.h - requests and the answers the real bahamut gave, in the order they were
 * recorded. Left out are Date and Content-Length; `trace` is "unknown" there.
 */
#ifndef BAHAMUT_EXCHANGES_H
#define BAHAMUT_EXCHANGES_H

#include <stddef.h>

struct exchange {
    const char *fact;
    const char *method, *target, *headers;
    const char *body;
    size_t body_len;
    int status;
    const char *answer_headers;
    const char *answer;
    size_t answer_len;
};

#define BYTES(text) (text), sizeof(text) - 1
#define ACCEPT "Accept: application/msgpack,application/json\n"
#define VARY "Vary: Accept-Encoding\n"
#define JSON(count)                                                                                \
    ACCEPT "Content-Type: application/json; charset=UTF-8\n" VARY "X-Count-Total: " count "\n"
#define MSGPACK(count)                                                                             \
    ACCEPT "Content-Type: application/msgpack\n" VARY "X-Count-Total: " count "\n"

static const struct exchange exchanges[] = {
    {"create, JSON", "POST", "/v/1/lists", "Content-Type: application/json\n",
     BYTES("{\"name\":\"first\",\"description\":\"d\",\"slice\":[\"a\",\"b\"],\"secret\":\"s3cr"
           "3t\",\"date\":\"2021-03-04T05:06:07.123456789Z\"}"),
     200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":\"2021-03"
           "-04T05:06:07.123456789Z\",\"description\":\"d\",\"name\":\"first\",\"parentI"
           "D\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":[\"a\",\""
           "b\"]}")},
    {"create, msgpack in and out", "POST", "/v/1/lists",
     "Content-Type: application/msgpack\nAccept: application/msgpack\n",
     BYTES("\x83\xa4\x6e\x61\x6d\x65\xa6\x73\x65\x63\x6f\x6e\x64\xa5\x73\x6c\x69\x63"
           "\x65\x91\xa1\x78\xa4\x64\x61\x74\x65\xd7\xff\x1d\x6f\x34\x54\x60\x40\x6a"
           "\xbf"),
     200, MSGPACK("0"),
     BYTES("\x8a\xa2\x49\x44\xb8\x36\x62\x30\x30\x66\x33\x65\x66\x30\x62\x36\x61\x30"
           "\x33\x33\x33\x66\x66\x64\x30\x35\x61\x34\x36\xac\x63\x72\x65\x61\x74\x69"
           "\x6f\x6e\x4f\x6e\x6c\x79\xa0\xa4\x64\x61\x74\x65\xd7\xff\x1d\x6f\x34\x54"
           "\x60\x40\x6a\xbf\xab\x64\x65\x73\x63\x72\x69\x70\x74\x69\x6f\x6e\xa0\xa4"
           "\x6e\x61\x6d\x65\xa6\x73\x65\x63\x6f\x6e\x64\xa8\x70\x61\x72\x65\x6e\x74"
           "\x49\x44\xa0\xaa\x70\x61\x72\x65\x6e\x74\x54\x79\x70\x65\xa4\x72\x6f\x6f"
           "\x74\xa8\x72\x65\x61\x64\x4f\x6e\x6c\x79\xa0\xa6\x73\x65\x63\x72\x65\x74"
           "\xa0\xa5\x73\x6c\x69\x63\x65\x91\xa1\x78")},
    {"create, JSON in, msgpack out (Accept only)", "POST", "/v/1/lists",
     "Content-Type: application/json\nAccept: application/msgpack\n", BYTES("{\"name\":\"third\"}"),
     200, MSGPACK("0"),
     BYTES("\x8a\xa2\x49\x44\xb8\x36\x62\x30\x30\x66\x33\x65\x66\x30\x62\x36\x61\x30"
           "\x33\x33\x33\x66\x66\x64\x30\x35\x61\x34\x37\xac\x63\x72\x65\x61\x74\x69"
           "\x6f\x6e\x4f\x6e\x6c\x79\xa0\xa4\x64\x61\x74\x65\xc0\xab\x64\x65\x73\x63"
           "\x72\x69\x70\x74\x69\x6f\x6e\xa0\xa4\x6e\x61\x6d\x65\xa5\x74\x68\x69\x72"
           "\x64\xa8\x70\x61\x72\x65\x6e\x74\x49\x44\xa0\xaa\x70\x61\x72\x65\x6e\x74"
           "\x54\x79\x70\x65\xa4\x72\x6f\x6f\x74\xa8\x72\x65\x61\x64\x4f\x6e\x6c\x79"
           "\xa0\xa6\x73\x65\x63\x72\x65\x74\xa0\xa5\x73\x6c\x69\x63\x65\x90")},
    {"create with no body and no Content-Type is validated as an empty object", "POST",
     "/v/1/lists", "", BYTES(""), 422, JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"name\"},\"description\":\"Attribute "
           "'name' is required\",\"subject\":\"elemental\",\"title\":\"Validation Erro"
           "r\",\"trace\":\"unknown\"}]")},
    {"create: unknown attributes are ignored; null, wrong-case keys", "POST", "/v/1/lists",
     "Content-Type: application/json\n",
     BYTES("{\"NAME\":\"x\",\"name\":\"y\",\"nope\":{\"a\":[1,2]},\"slice\":null,\"descriptio"
           "n\":null}"),
     200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3ef0b6a0333ffd05a48\",\"creationOnly\":\"\",\"date\":null,\"de"
           "scription\":\"\",\"name\":\"y\",\"parentID\":\"\",\"parentType\":\"root\",\"readOn"
           "ly\":\"\",\"secret\":\"\",\"slice\":null}")},
    {"retrieve", "GET", "/v/1/lists/6b00f3ef0b6a0333ffd05a45", "", BYTES(""), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":\"2021-03"
           "-04T05:06:07.123456789Z\",\"description\":\"d\",\"name\":\"first\",\"parentI"
           "D\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":[\"a\",\""
           "b\"]}")},
    {"retrieve with X-Fields (sparse answer: only the asked attributes, plus nothing else)", "GET",
     "/v/1/lists/6b00f3ef0b6a0333ffd05a45", "X-Fields: name\nX-Fields: slice\n", BYTES(""), 200,
     JSON("0"), BYTES("{\"name\":\"first\",\"slice\":[\"a\",\"b\"]}")},
    {"retrieve-many, unversioned path, page", "GET", "/lists?page=1&pagesize=2", "", BYTES(""), 200,
     JSON("4"),
     BYTES("[{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":\"2021-0"
           "3-04T05:06:07.123456789Z\",\"description\":\"d\",\"name\":\"first\",\"parent"
           "ID\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":[\"a\","
           "\"b\"]},{\"ID\":\"6b00f3ef0b6a0333ffd05a46\",\"creationOnly\":\"\",\"date\":\"2"
           "021-03-04T05:06:07.123456789Z\",\"description\":\"\",\"name\":\"second\",\"p"
           "arentID\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":"
           "[\"x\"]}]")},
    {"retrieve-many, after/limit: X-Next", "GET", "/v/1/lists?limit=2", "", BYTES(""), 200,
     JSON("4") "X-Next: 6b00f3ef0b6a0333ffd05a46\n",
     BYTES("[{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":\"2021-0"
           "3-04T05:06:07.123456789Z\",\"description\":\"d\",\"name\":\"first\",\"parent"
           "ID\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":[\"a\","
           "\"b\"]},{\"ID\":\"6b00f3ef0b6a0333ffd05a46\",\"creationOnly\":\"\",\"date\":\"2"
           "021-03-04T05:06:07.123456789Z\",\"description\":\"\",\"name\":\"second\",\"p"
           "arentID\":\"\",\"parentType\":\"root\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":"
           "[\"x\"]}]")},
    {"retrieve-many, empty", "GET", "/v/1/users", "", BYTES(""), 200, JSON("0"), BYTES("[]")},
    {"retrieve-many, msgpack", "GET", "/v/1/lists?pagesize=1", "Accept: application/msgpack\n",
     BYTES(""), 200, MSGPACK("4"),
     BYTES("\x91\x8a\xa2\x49\x44\xb8\x36\x62\x30\x30\x66\x33\x65\x66\x30\x62\x36\x61"
           "\x30\x33\x33\x33\x66\x66\x64\x30\x35\x61\x34\x35\xac\x63\x72\x65\x61\x74"
           "\x69\x6f\x6e\x4f\x6e\x6c\x79\xa0\xa4\x64\x61\x74\x65\xd7\xff\x1d\x6f\x34"
           "\x54\x60\x40\x6a\xbf\xab\x64\x65\x73\x63\x72\x69\x70\x74\x69\x6f\x6e\xa1"
           "\x64\xa4\x6e\x61\x6d\x65\xa5\x66\x69\x72\x73\x74\xa8\x70\x61\x72\x65\x6e"
           "\x74\x49\x44\xa0\xaa\x70\x61\x72\x65\x6e\x74\x54\x79\x70\x65\xa4\x72\x6f"
           "\x6f\x74\xa8\x72\x65\x61\x64\x4f\x6e\x6c\x79\xa0\xa6\x73\x65\x63\x72\x65"
           "\x74\xa0\xa5\x73\x6c\x69\x63\x65\x92\xa1\x61\xa1\x62")},
    {"info (HEAD)", "HEAD", "/lists", "", BYTES(""), 204, JSON("4"), BYTES("")},
    {"update (PUT)", "PUT", "/v/1/lists/6b00f3ef0b6a0333ffd05a45",
     "Content-Type: application/json\n",
     BYTES("{\"ID\":\"ignored\",\"name\":\"first\",\"description\":\"put\"}"), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":null,\"de"
           "scription\":\"put\",\"name\":\"first\",\"parentID\":\"\",\"parentType\":\"root\","
           "\"readOnly\":\"\",\"secret\":\"\",\"slice\":[]}")},
    {"patch (PATCH)", "PATCH", "/v/1/lists/6b00f3ef0b6a0333ffd05a45",
     "Content-Type: application/json\n", BYTES("{\"description\":\"patched\"}"), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3ef0b6a0333ffd05a45\",\"creationOnly\":\"\",\"date\":null,\"de"
           "scription\":\"patched\",\"name\":\"first\",\"parentID\":\"\",\"parentType\":\"ro"
           "ot\",\"readOnly\":\"\",\"secret\":\"\",\"slice\":[]}")},
    {"create a child", "POST", "/v/1/lists/6b00f3ef0b6a0333ffd05a45/tasks",
     "Content-Type: application/json\n", BYTES("{\"name\":\"t1\",\"status\":\"TODO\"}"), 200,
     JSON("0"),
     BYTES("{\"ID\":\"6b00f3f10b6a0333ffd05a49\",\"description\":\"\",\"name\":\"t1\",\"par"
           "entID\":\"6b00f3ef0b6a0333ffd05a45\",\"parentType\":\"list\",\"status\":\"TO"
           "DO\"}")},
    {"retrieve-many of children", "GET", "/v/1/lists/6b00f3ef0b6a0333ffd05a45/tasks", "", BYTES(""),
     200, JSON("1"),
     BYTES("[{\"ID\":\"6b00f3f10b6a0333ffd05a49\",\"description\":\"\",\"name\":\"t1\",\"pa"
           "rentID\":\"6b00f3ef0b6a0333ffd05a45\",\"parentType\":\"list\",\"status\":\"T"
           "ODO\"}]")},
    {"delete", "DELETE", "/v/1/tasks/6b00f3f10b6a0333ffd05a49", "", BYTES(""), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3f10b6a0333ffd05a49\",\"description\":\"\",\"name\":\"t1\",\"par"
           "entID\":\"6b00f3ef0b6a0333ffd05a45\",\"parentType\":\"list\",\"status\":\"TO"
           "DO\"}")},
    {"404 no route (bone NotFound)", "GET", "/a/b/c/d/e/f", "", BYTES(""), 404,
     ACCEPT "Content-Type: application/json; charset=UTF-8\nX-Count-Total: 0\n",
     BYTES("[{\"code\":404,\"description\":\"Unable to find the requested resource\""
           ",\"subject\":\"bahamut\",\"title\":\"Not Found\",\"trace\":\"unknown\"}]")},
    {"404 object (by the processor: subject is the service)", "GET",
     "/v/1/lists/000000000000000000000000", "", BYTES(""), 404, JSON("0"),
     BYTES("[{\"code\":404,\"description\":\"cannot find list with ID 0000000000000"
           "00000000000\",\"subject\":\"kujata\",\"title\":\"Object not found\",\"trace\""
           ":\"unknown\"}]")},
    {"the same in msgpack", "GET", "/v/1/lists/000000000000000000000000",
     "Accept: application/msgpack\n", BYTES(""), 404, MSGPACK("0"),
     BYTES("\x91\x86\xa4\x63\x6f\x64\x65\xd1\x01\x94\xa4\x64\x61\x74\x61\xc0\xab\x64"
           "\x65\x73\x63\x72\x69\x70\x74\x69\x6f\x6e\xd9\x31\x63\x61\x6e\x6e\x6f\x74"
           "\x20\x66\x69\x6e\x64\x20\x6c\x69\x73\x74\x20\x77\x69\x74\x68\x20\x49\x44"
           "\x20\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30\x30"
           "\x30\x30\x30\x30\x30\x30\x30\xa7\x73\x75\x62\x6a\x65\x63\x74\xa6\x6b\x75"
           "\x6a\x61\x74\x61\xa5\x74\x69\x74\x6c\x65\xb0\x4f\x62\x6a\x65\x63\x74\x20"
           "\x6e\x6f\x74\x20\x66\x6f\x75\x6e\x64\xa5\x74\x72\x61\x63\x65\xa7\x75\x6e"
           "\x6b\x6e\x6f\x77\x6e")},
    {"405 unknown identity", "GET", "/v/1/nothings", "", BYTES(""), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"RetrieveMany operation not allowed on "
           "\",\"subject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"405 unknown identity, retrieve", "GET", "/v/1/nothings/1", "", BYTES(""), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"Retrieve operation not allowed on \",\"s"
           "ubject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"405 known identity, operation not in the relationships", "GET", "/v/1/tasks", "", BYTES(""),
     405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"RetrieveMany operation not allowed on "
           "tasks\",\"subject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\""
           "}]")},
    {"405 on HEAD", "HEAD", "/v/1/tasks", "", BYTES(""), 405, JSON("0"), BYTES("")},
    {"405 create child not in the relationships", "POST",
     "/v/1/lists/6b00f3ef0b6a0333ffd05a45/users", "Content-Type: application/json\n", BYTES("{}"),
     405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"Create operation not allowed on user\","
           "\"subject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"405 path known for another method (POST on an object): bone answers 405 with an empty body "
     "and no bahamut header",
     "POST", "/v/1/lists/6b00f3ef0b6a0333ffd05a45", "Content-Type: application/json\n", BYTES("{}"),
     405, "", BYTES("")},
    {"unknown method: the same", "FOO", "/v/1/lists", "", BYTES(""), 405, "", BYTES("")},
    {"422 required attribute", "POST", "/v/1/lists", "Content-Type: application/json\n",
     BYTES("{}"), 422, JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"name\"},\"description\":\"Attribute "
           "'name' is required\",\"subject\":\"elemental\",\"title\":\"Validation Erro"
           "r\",\"trace\":\"unknown\"}]")},
    {"422 in msgpack", "POST", "/v/1/lists",
     "Content-Type: application/json\nAccept: application/msgpack\n", BYTES("{}"), 422,
     MSGPACK("0"),
     BYTES("\x91\x86\xa4\x63\x6f\x64\x65\xd1\x01\xa6\xa4\x64\x61\x74\x61\x81\xa9\x61"
           "\x74\x74\x72\x69\x62\x75\x74\x65\xa4\x6e\x61\x6d\x65\xab\x64\x65\x73\x63"
           "\x72\x69\x70\x74\x69\x6f\x6e\xbc\x41\x74\x74\x72\x69\x62\x75\x74\x65\x20"
           "\x27\x6e\x61\x6d\x65\x27\x20\x69\x73\x20\x72\x65\x71\x75\x69\x72\x65\x64"
           "\xa7\x73\x75\x62\x6a\x65\x63\x74\xa9\x65\x6c\x65\x6d\x65\x6e\x74\x61\x6c"
           "\xa5\x74\x69\x74\x6c\x65\xb0\x56\x61\x6c\x69\x64\x61\x74\x69\x6f\x6e\x20"
           "\x45\x72\x72\x6f\x72\xa5\x74\x72\x61\x63\x65\xa7\x75\x6e\x6b\x6e\x6f\x77"
           "\x6e")},
    {"422 not in list", "POST", "/v/1/lists/6b00f3ef0b6a0333ffd05a45/tasks",
     "Content-Type: application/json\n", BYTES("{\"name\":\"t\",\"status\":\"NOPE\"}"), 422,
     JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"status\"},\"description\":\"Data 'NO"
           "PE' of attribute 'status' is not in list '[DONE PROGRESS TODO]'\",\""
           "subject\":\"elemental\",\"title\":\"Validation Error\",\"trace\":\"unknown\"}"
           "]")},
    {"422 several", "POST", "/v/1/users", "Content-Type: application/json\n", BYTES("{}"), 422,
     JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"firstName\"},\"description\":\"Attri"
           "bute 'firstName' is required\",\"subject\":\"elemental\",\"title\":\"Valid"
           "ation Error\",\"trace\":\"unknown\"},{\"code\":422,\"data\":{\"attribute\":\"l"
           "astName\"},\"description\":\"Attribute 'lastName' is required\",\"subjec"
           "t\":\"elemental\",\"title\":\"Validation Error\",\"trace\":\"unknown\"},{\"cod"
           "e\":422,\"data\":{\"attribute\":\"userName\"},\"description\":\"Attribute 'u"
           "serName' is required\",\"subject\":\"elemental\",\"title\":\"Validation Er"
           "ror\",\"trace\":\"unknown\"}]")},
    {"400 truncated JSON", "POST", "/v/1/lists", "Content-Type: application/json\n",
     BYTES("{\"name\":\"a\""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"unable to decode application/json: EOF"
           "\",\"subject\":\"bahamut\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"a number for a string attribute is accepted (codec coerces); see the table in 1.7", "POST",
     "/v/1/lists", "Content-Type: application/json\n", BYTES("{\"name\":12}"), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3f80b6a0333ffd05a56\",\"creationOnly\":\"\",\"date\":null,\"de"
           "scription\":\"\",\"name\":\"12\",\"parentID\":\"\",\"parentType\":\"root\",\"readO"
           "nly\":\"\",\"secret\":\"\",\"slice\":[]}")},
    {"an array for the object is accepted too (positional decoding); here it is empty, so 422",
     "POST", "/v/1/lists", "Content-Type: application/json\n", BYTES("[]"), 422, JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"name\"},\"description\":\"Attribute "
           "'name' is required\",\"subject\":\"elemental\",\"title\":\"Validation Erro"
           "r\",\"trace\":\"unknown\"}]")},
    {"trailing garbage after a complete JSON value is accepted", "POST", "/v/1/lists",
     "Content-Type: application/json\n", BYTES("{\"name\":\"a\"} trailing"), 200, JSON("0"),
     BYTES("{\"ID\":\"6b00f3f90b6a0333ffd05a57\",\"creationOnly\":\"\",\"date\":null,\"de"
           "scription\":\"\",\"name\":\"a\",\"parentID\":\"\",\"parentType\":\"root\",\"readOn"
           "ly\":\"\",\"secret\":\"\",\"slice\":[]}")},
    {"400 malformed msgpack", "POST", "/v/1/lists", "Content-Type: application/msgpack\n",
     BYTES("\x81\xa4\x6e\x61\x6d\x65"), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"unable to decode application/msgpack: "
           "EOF\",\"subject\":\"bahamut\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"PATCH with an empty body", "PATCH", "/v/1/lists/6b00f3ef0b6a0333ffd05a45",
     "Content-Type: application/json\n", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"unable to decode application/json: EOF"
           "\",\"subject\":\"bahamut\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"PUT with an empty body", "PUT", "/v/1/lists/6b00f3ef0b6a0333ffd05a45",
     "Content-Type: application/json\n", BYTES(""), 422, JSON("0"),
     BYTES("[{\"code\":422,\"data\":{\"attribute\":\"name\"},\"description\":\"Attribute "
           "'name' is required\",\"subject\":\"elemental\",\"title\":\"Validation Erro"
           "r\",\"trace\":\"unknown\"}]")},
    {"415 Content-Type", "POST", "/v/1/lists", "Content-Type: application/xml\n", BYTES("<a/>"),
     415, JSON("0"),
     BYTES("[{\"code\":415,\"description\":\"Cannot find any acceptable Content-Typ"
           "e media type in provided header: application/xml\",\"subject\":\"eleme"
           "ntal\",\"title\":\"Unsupported Media Type\",\"trace\":\"unknown\"}]")},
    {"415 on Accept (there is no 406)", "GET", "/v/1/lists", "Accept: text/html\n", BYTES(""), 415,
     JSON("0"),
     BYTES("[{\"code\":415,\"description\":\"Cannot find any acceptable Accept medi"
           "a type in provided header: text/html\",\"subject\":\"elemental\",\"title"
           "\":\"Unsupported Media Type\",\"trace\":\"unknown\"}]")},
    {"400 unparsable Content-Type", "POST", "/v/1/lists", "Content-Type: application/json; =\n",
     BYTES("{}"), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Invalid Content-Type header: mime: inv"
           "alid media parameter\",\"subject\":\"elemental\",\"title\":\"Bad Request\","
           "\"trace\":\"unknown\"}]")},
    {"400 unparsable Accept", "GET", "/v/1/users", "Accept: ;;\n", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Invalid Accept header: mime: no media "
           "type\",\"subject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":\"unknown"
           "\"}]")},
    {"Accept is read left to right and stops at the first match, so garbage behind it is not seen",
     "GET", "/v/1/users", "Accept: application/json, ;;\n", BYTES(""), 200, JSON("0"), BYTES("[]")},
    {"empty Accept item", "GET", "/v/1/users", "Accept: text/html,,application/json\n", BYTES(""),
     400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Invalid Accept header: mime: no media "
           "type\",\"subject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":\"unknown"
           "\"}]")},
    {"400 unknown version", "GET", "/v/99/lists", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Unknown api version\",\"subject\":\"bahamu"
           "t\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"400 bad version", "GET", "/v/zz/lists", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Invalid api version number\",\"subject\":"
           "\"bahamut\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"400 unknown query parameter", "GET", "/v/1/lists?foo=1", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Unknown parameter: `foo`\",\"subject\":\"e"
           "lemental\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"400 page not an integer", "GET", "/v/1/lists?page=x", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Parameter `page` must be an integer\",\""
           "subject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"400 limit and pagesize", "GET", "/v/1/lists?limit=1&pagesize=2", "", BYTES(""), 400,
     JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"You cannot set 'limit' and 'pagesize' "
           "at the same time\",\"subject\":\"elemental\",\"title\":\"Bad Request\",\"tra"
           "ce\":\"unknown\"}]")},
    {"400 page and after", "GET", "/v/1/lists?page=1&after=2", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"You cannot set 'after' and 'page' at t"
           "he same time\",\"subject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":"
           "\"unknown\"}]")},
    {"400 empty order", "GET", "/v/1/lists?order=", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Parameter `order` must be set when pro"
           "vided\",\"subject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":\"unknow"
           "n\"}]")},
    {"400 boolean parameter", "GET", "/v/1/lists?rlgmp2=maybe", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Parameter 'rlgmp2' must be a boolean, "
           "got 'maybe'\",\"subject\":\"elemental\",\"title\":\"Invalid Parameter\",\"t"
           "race\":\"unknown\"}]")},
    {"400 required parameter missing", "DELETE", "/v/1/users/1", "", BYTES(""), 400, JSON("0"),
     BYTES("[{\"code\":400,\"description\":\"Missing Required parameters: `confirm`\",\"s"
           "ubject\":\"elemental\",\"title\":\"Bad Request\",\"trace\":\"unknown\"}]")},
    {"root", "GET", "/", "", BYTES(""), 200, "", BYTES("")},
    {"POST / ", "POST", "/", "Content-Type: application/json\n", BYTES("{}"), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"Create operation not allowed on \",\"sub"
           "ject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"trailing slash", "GET", "/v/1/lists/", "", BYTES(""), 404, JSON("0"),
     BYTES("[{\"code\":404,\"description\":\"cannot find list with ID \",\"subject\":\""
           "kujata\",\"title\":\"Object not found\",\"trace\":\"unknown\"}]")},
    {"double slash", "GET", "//lists", "", BYTES(""), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"Retrieve operation not allowed on \",\"s"
           "ubject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"HEAD / (falls into HEAD /:category with an empty category)", "HEAD", "/", "", BYTES(""), 405,
     JSON("0"), BYTES("")},
    {"HEAD /events falls into HEAD /:category", "HEAD", "/events", "", BYTES(""), 405, JSON("0"),
     BYTES("")},
    {"paths are case sensitive", "GET", "/v/1/Lists", "", BYTES(""), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"RetrieveMany operation not allowed on "
           "\",\"subject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
    {"DELETE on a category", "DELETE", "/v/1/lists", "", BYTES(""), 405, "", BYTES("")},
    {"encoded slash in the ID: the decoded path is split again", "GET", "/v/1/lists/a%2Fb", "",
     BYTES(""), 405, JSON("0"),
     BYTES("[{\"code\":405,\"description\":\"Retrieve operation not allowed on \",\"s"
           "ubject\":\"bahamut\",\"title\":\"Not allowed\",\"trace\":\"unknown\"}]")},
};

#endif
