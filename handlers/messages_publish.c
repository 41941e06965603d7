/* messages_publish.c - pushes that are kept before they are published, for kujata/messages.h. */
#include <kujata/gateway.h>
#include <kujata/messages.h>

static struct kj_message message_of(const struct kj_push_options *push)
{
    return (struct kj_message){
        .id = push->id,
        .room = push->kind == KJ_TOPIC_ROOM ? push->name : NULL,
        .user = push->kind == KJ_TOPIC_USER ? push->name : NULL,
        .from = push->from,
        .op = push->op,
        .time_ms = kj_push_id_time_ms(push->id),
        .body = push->body,
        .body_len = push->body_len,
        .body_is_json = push->body_is_json,
    };
}

enum kj_status kj_messages_publish(struct kj_messages *messages, struct kj_gateway *gateway,
                                   const struct kj_push_options *push,
                                   const struct kj_messages_append *append,
                                   struct kj_messages_receipt *receipt,
                                   struct kj_push_receipt *published)
{
    struct kj_push_options own = *push;
    struct kj_push_receipt own_receipt = {0};
    *receipt = (struct kj_messages_receipt){0};
    if (published) {
        *published = own_receipt;
    }
    if (push->kind != KJ_TOPIC_ROOM && push->kind != KJ_TOPIC_USER) {
        return KJ_EINVAL;
    }
    own.id = own.id ? own.id : kj_gateway_make_id(gateway);
    const struct kj_message message = message_of(&own);
    enum kj_status status = kj_messages_append(messages, &message, append, receipt);
    bool is_due = receipt->state == KJ_MESSAGE_NEW || receipt->state == KJ_MESSAGE_WAITING;
    if (status || !is_due) {
        return status;
    }
    own.id = receipt->id;
    status = kj_gateway_publish(gateway, &own, &own_receipt);
    if (published) {
        *published = own_receipt;
    }
    return append->to_mailbox ? KJ_OK : status;
}
