package tests
import ("testing";"context";"errors";"strings";"os";"time";"archive/tar";"bytes";"runtests/pkg/engine")
type trig struct{ strings.Builder; on string; do func(); done bool }
func (w *trig) Write(p []byte)(int,error){ n,e:=w.Builder.Write(p); if !w.done&&strings.Contains(w.String(),w.on){w.done=true; w.do()}; return n,e}
func tarOf(text string)*bytes.Buffer{var b bytes.Buffer; w:=tar.NewWriter(&b); w.WriteHeader(&tar.Header{Name:"Dockerfile",Mode:0644,Size:int64(len(text))}); w.Write([]byte(text)); w.Close(); return &b}
func TestZZ(t *testing.T){
 for _,bk:=range []string{"1","0"} { t.Run(bk,func(t *testing.T){
 e,err:=newPrivateEngine(); if err!=nil{t.Fatal(err)}
 e.disk="40m"
 t.Cleanup(func(){e.close()})
 if err:=errors.Join(e.start(),e.provide());err!=nil{t.Fatal(err)}
 env:=map[string]string{"DOCKER_HOST":e.host(),"DOCKER_BUILDKIT":bk}
 c:=func()*engine.Engine{x,err:=engine.Connect(context.Background(),engine.Options{Getenv:func(k string)string{return env[k]},HomeDir:t.TempDir(),CallTimeout:5*time.Second}); if err!=nil{t.Fatal(err)}; return x}
 x:=c()
 run:=func(name,text string, do func()){ w:=&trig{on:"is ready\n",do:do}; start:=time.Now(); id,err:=x.Build(context.Background(),engine.Build{Context:tarOf(text),Tags:[]string{"half:1"}},w); var h interface{Hint() string}; hint:=""; if errors.As(err,&h){hint=h.Hint()}; _,ierr:=x.Image(context.Background(),"half:1")
  t.Logf("%s: after %s: id %q err %v; gone %v nospace %v hint %q; image: %v\n%s",name,time.Since(start),id,err,errors.Is(err,engine.ErrGone),errors.Is(err,engine.ErrNoSpace),hint,ierr,w.String()) }
 full:="FROM "+baseImage+"\nRUN dd if=/dev/zero of=/big bs=1M count=100\n"
 run("full",full,func(){})
 run("full, RUN goes on","FROM "+baseImage+"\nRUN dd if=/dev/zero of=/big bs=1M count=100; true\nRUN echo more; dd if=/dev/zero of=/big2 bs=1M count=1; true\nRUN echo 3\n",func(){})
 sl:="FROM "+baseImage+"\nRUN echo is ready; sleep 60\n"
 run("stop",sl,func(){ go e.stop() })
 <-e.daemon.exited
 if err:=e.start();err!=nil{t.Fatal(err)}
 run("kill",sl,func(){ go e.kill() })
 <-e.daemon.exited
 if err:=e.start();err!=nil{t.Fatal(err)}
 out,_:=e.docker("ps","-a"); t.Log(out)
 run("after","FROM "+baseImage+"\nRUN echo fine\n",func(){})
 })}
 _=os.Args
}
