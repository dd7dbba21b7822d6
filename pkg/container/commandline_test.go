package container

import "testing"

func TestCommandLine(t *testing.T) {
	everything := Container{
		Image: "img", Command: []string{"/test/test.sh", "a b"}, Platform: "linux/amd64", MacAddress: "aa:bb:cc:dd:ee:ff",
		NetworkMode: "none", DNS: []string{"8.8.8.8", "172.21.8.87"}, ExtraHosts: []string{"db:10.0.0.1"}, User: "1000:1000", WorkingDir: "/w",
		Env:      []Variable{{Name: "A", Value: "it's $1"}, {Name: "TOKEN", Value: "hidden", Secret: true}, {Name: "F", Value: "hidden", FromFile: true}, {Name: "EMPTY"}},
		EnvFiles: []string{"/srv/env"}, Memory: 1 << 30, ShmSize: 1<<20 + 1, CPUs: 1.5, PidsLimit: 64, Init: true, Privileged: true, ReadOnly: true,
		CapAdd: []string{"SYS_PTRACE"}, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, Devices: []string{"/dev/fuse"}, Tmpfs: []string{"/tmp:size=1m"},
		Mounts: []Mount{{Source: "/a", Target: "/b", ReadOnly: true, Options: []string{"rslave"}}, {Source: "/c:d,e", Target: "/f", ReadOnly: true}, {Target: "/cache"}, {Source: "vol", Target: "/v"}},
		Labels: map[string]string{"x": "y"},
	}
	tests := []struct {
		name      string
		container Container
		keepAs    string
		want      string
	}{
		{"the contract's", Container{
			Image: "specfun-ubuntu-deps", Command: []string{"/test/test.sh"}, MacAddress: "aa:bb:cc:dd:ee:ff", Name: "runtests-1",
			Mounts: []Mount{{Source: "/srv/ci/tests/ecs", Target: "/test"}, {Source: "/maple", Target: "/maple", ReadOnly: true}},
		}, "", "docker run --rm --mac-address aa:bb:cc:dd:ee:ff -v /srv/ci/tests/ecs:/test -v /maple:/maple:ro specfun-ubuntu-deps /test/test.sh"},
		{"another entrypoint", Container{Image: "img", Entrypoint: []string{"/bin/sh", "-e"}, Command: []string{"-c", "true"}}, "",
			"docker run --rm --entrypoint /bin/sh img -e -c true"},
		{"kept", Container{Image: "img"}, "prod-ecs", "docker run --name prod-ecs img"},
		{"everything", everything, "", "docker run --rm --platform linux/amd64 --mac-address aa:bb:cc:dd:ee:ff --network none --dns 8.8.8.8 --dns 172.21.8.87" +
			" --add-host db:10.0.0.1 --user 1000:1000 --workdir /w --env-file /srv/env -e 'A=it'\"'\"'s $1' -e TOKEN -e EMPTY= --memory 1g --shm-size 1048577" +
			" --cpus 1.5 --pids-limit 64 --init --privileged --read-only --cap-add SYS_PTRACE --cap-drop ALL --security-opt no-new-privileges --device /dev/fuse" +
			" --tmpfs /tmp:size=1m -v /a:/b:ro,rslave --mount 'type=bind,\"src=/c:d,e\",dst=/f,readonly' -v /cache -v vol:/v img /test/test.sh 'a b'"},
		{"copied", Container{Image: "img", Copies: []Copy{{"/srv/t", "/test"}}, Command: []string{"/test/test.sh"}}, "",
			`c=$(docker create img /test/test.sh) && docker cp /srv/t/. "$c":/test && docker start -a "$c"; s=$?; docker rm -fv "$c" >/dev/null; (exit $s)`},
		{"copied and kept", Container{Image: "img", Copies: []Copy{{"/srv/t", "/test"}}}, "cid",
			`c=$(docker create --name cid img) && docker cp /srv/t/. "$c":/test && docker start -a "$c"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.container.CommandLine("docker", tt.keepAs); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
