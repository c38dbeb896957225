/*
 * What mapping costs: an area that is bound takes mmap, mbind (of which no flag moves pages) and
 * munmap; one that is not, mmap and munmap. A filter ends the child at any other system call.
 *
 * Not under valgrind: its own system calls would end it.
 */
#include <aml.h>
#include <aml/area/linux.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "check.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define END BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)
/* One that is allowed. */
#define CALL(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ALLOW

/* From here on, nothing else; mbind only if that was said, and without flags. */
static void only_mapping(int mbind_too)
{
	struct sock_filter filter[] = {
		LOAD(nr), CALL(SYS_mmap), CALL(SYS_munmap), CALL(SYS_exit_group),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mbind_too ? SYS_mbind : 0xffffffffu, 1, 0), END,
		LOAD(args[5]), CALL(0), END,
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void in_a_child(const struct aml_area *area, int mbind_too)
{
	pid_t child = check_fork();

	if (child == 0) {
		only_mapping(mbind_too);
		for (size_t size = 1; size < (size_t)1 << 30; size *= 7) {
			void *ptr = aml_area_mmap(area, size, NULL);

			if (ptr == NULL || aml_area_munmap(area, ptr, size) != AML_SUCCESS)
				_exit(1);
		}
		_exit(0);
	}
	check_child(child, 0);
}

int main(void)
{
	static const enum aml_area_linux_policy policies[] = { AML_AREA_LINUX_POLICY_BIND, AML_AREA_LINUX_POLICY_PREFERRED,
		AML_AREA_LINUX_POLICY_INTERLEAVE };
	pid_t child;

#ifdef __SANITIZE_ADDRESS__
	SKIP("the sanitizer makes system calls of its own");
#endif
	in_a_child(&aml_area_linux, 0);
	for (size_t at = 0; at < sizeof policies / sizeof *policies; at++) {
		struct aml_area *area;

		CHECK_EQ(aml_area_linux_create(&area, NULL, policies[at]), AML_SUCCESS);
		in_a_child(area, 1);
		aml_area_linux_destroy(&area);
	}
	/* The filter does end a child that asks for more. */
	child = check_fork();
	if (child == 0) {
		only_mapping(1);
		_exit(getpid() > 0 ? 0 : 1);
	}
	check_killed(child, SIGSYS);
	return 0;
}
