/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

#include "testkit/test.h"

TEST(err, every_code_has_a_name_of_its_own)
{
    for (enum err_code a = ERR_OK; a < ERR_CODE_COUNT; a++) {
        EXPECT(err_name(a) != NULL && err_name(a)[0] != '\0');
        for (enum err_code b = ERR_OK; b < a; b++) {
            EXPECT(strcmp(err_name(a), err_name(b)) != 0);
        }
    }
    EXPECT_STR(err_name(ERR_NO_SPACE), "NO_SPACE");
    EXPECT_STR(err_name(ERR_UNKNOWN_OUTCOME), "UNKNOWN_OUTCOME");
}

TEST(err, each_layer_puts_its_part_in_front)
{
    struct err e;
    EXPECT_ERR(err_set(&e, ERR_NO_SPACE, "fdatasync: %s", "no room"), ERR_NO_SPACE);
    EXPECT_ERR(err_wrap(&e, "segment at index %d", 8), ERR_NO_SPACE);
    EXPECT_ERR(err_wrap(&e, "log"), ERR_NO_SPACE);
    EXPECT(e.code == ERR_NO_SPACE);
    EXPECT_STR(e.text, "log: segment at index 8: fdatasync: no room");
}

TEST(err, a_new_story_replaces_the_old_one)
{
    struct err e;
    (void)err_set(&e, ERR_IO, "a long first story");
    (void)err_set(&e, ERR_FULL, "b");
    EXPECT(e.code == ERR_FULL);
    EXPECT_STR(e.text, "b");
}

TEST(err, nobody_has_to_listen)
{
    EXPECT_ERR(err_set(NULL, ERR_FULL, "x"), ERR_FULL);
    EXPECT_ERR(err_wrap(NULL, "x"), ERR_IO);
}

static void fill(char *text, int letter, size_t size)
{
    memset(text, letter, size);
    text[size] = '\0';
}

TEST(err, a_story_too_long_is_cut_at_its_end)
{
    struct err e;
    char text[2 * ERR_TEXT_SIZE];
    fill(text, 'x', sizeof text - 1);
    (void)err_set(&e, ERR_IO, "%s", text);
    EXPECT_UINT(strlen(e.text), ERR_TEXT_SIZE - 1);
    (void)err_wrap(&e, "front");
    EXPECT_UINT(strlen(e.text), ERR_TEXT_SIZE - 1);
    EXPECT(strncmp(e.text, "front: xxx", 10) == 0);
}

/* Every length of the front part around the end of the text. */
TEST(err, wrapping_never_writes_behind_the_text)
{
    for (size_t size = ERR_TEXT_SIZE - 10; size < ERR_TEXT_SIZE + 10; size++) {
        struct {
            struct err e;
            char behind[16];
        } guarded;
        char front[2 * ERR_TEXT_SIZE];
        memset(&guarded, '#', sizeof guarded);
        fill(front, 'f', size);
        (void)err_set(&guarded.e, ERR_IO, "inner");
        EXPECT_ERR(err_wrap(&guarded.e, "%s", front), ERR_IO);
        size_t want = size + strlen(": inner");
        want = want < ERR_TEXT_SIZE - 1 ? want : ERR_TEXT_SIZE - 1;
        EXPECT_UINT(strlen(guarded.e.text), want);
        EXPECT_MEM(guarded.behind, "################", sizeof guarded.behind);
    }
}

static void set_ok(void *e)
{
    (void)err_set(e, ERR_OK, "fine");
}

static void wrap_nothing(void *e)
{
    (void)err_wrap(e, "layer");
}

TEST(err, success_has_no_story)
{
    struct err e = {ERR_OK, ""};
    EXPECT_DIES(set_ok, &e, "check failed: code != ERR_OK");
    EXPECT_DIES(wrap_nothing, &e, "check failed: e->code != ERR_OK");
}
