/* stored_lists.c - see stored_lists.h. */
#include "unit/rest/cmocka_all.h"

#include "unit/handlers/stored_lists.h"

#include <stdio.h>
#include <string.h>

struct fixture fixture;

int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    kj_store_free(fixture.store);
    assert_int_equal(storage_open(fixture.model, &fixture.store), KJ_OK);
    fixture_serve_store(&fixture);
    return 0;
}

int tear_down(void **state)
{
    (void)state;
    storage_close(fixture.store);
    fixture.store = NULL;
    fixture_fini(&fixture);
    return 0;
}

void create_lists(int count, char ids[][KJ_OBJECT_ID_SIZE])
{
    char json[64];
    for (int i = 0; i < count; i++) {
        (void)snprintf(json, sizeof json, "{\"name\":\"n%d\",\"description\":\"%c\"}", i,
                       'a' + i % 2);
        fixture_create(&fixture, "/v/1/lists", json, ids[i]);
    }
}

const char *names(void)
{
    static char text[1024];
    json_t *objects = fixture_json(&fixture);
    size_t index;
    json_t *object;
    text[0] = '\0';
    assert_int_equal(fixture.response.status, 200);
    json_array_foreach(objects, index, object)
    {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "%s%s", index ? " " : "",
                       json_string_value(json_object_get(object, "name")));
    }
    json_decref(objects);
    return text;
}

const char *list_names(const char *target)
{
    fixture_send(&fixture, "GET", target, "");
    return names();
}
