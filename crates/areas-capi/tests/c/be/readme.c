#include <OS.h>
#include <stdio.h>

int main(void)
{
    void *address;
    area_id id = find_area("greeting");
    if (id == B_NAME_NOT_FOUND) {
        id = create_area("greeting", &address, B_ANY_ADDRESS, B_PAGE_SIZE, B_NO_LOCK, B_READ_AREA | B_WRITE_AREA);
        sprintf(address, "from team %d", (int)find_thread(NULL));
        getchar(); /* the area lives as long as we do */
    } else if ((id = clone_area("mine", &address, B_ANY_ADDRESS, B_READ_AREA, id)) > 0)
        puts(address);
    return id < 0;
}
