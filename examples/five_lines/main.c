#include <kujata/kujata.h>
int main(void)
{
    return kj_encoding_name(KJ_ENCODING_MSGPACK)[0] != 'a';
}
