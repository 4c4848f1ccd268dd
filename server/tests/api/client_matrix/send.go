// Sends files with Go's net/http: `go run send.go < JOBS`.
//
// A job is a line of a kind (form, put, stream), an address, a key, a path and a file name, with tabs between. Each gets a
// line: the status and the body of the answer, or the error.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
)

func request(kind, url, path, name string) (*http.Request, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if kind == "form" {
		defer file.Close()
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		part, err := form.CreateFormFile("file", name)
		if err != nil {
			return nil, err
		}
		if _, err := io.Copy(part, file); err != nil {
			return nil, err
		}
		form.Close()
		post, err := http.NewRequest("POST", url, &body)
		if err == nil {
			post.Header.Set("Content-Type", form.FormDataContentType())
		}
		return post, err
	}
	put, err := http.NewRequest("PUT", url, file)
	if err == nil && kind == "put" {
		about, err := file.Stat()
		if err != nil {
			return nil, err
		}
		put.ContentLength = about.Size()
	}
	return put, err
}

func send(kind, url, key, path, name string) string {
	prepared, err := request(kind, url, path, name)
	if err != nil {
		return "failed " + err.Error()
	}
	prepared.Header.Set("X-API-Key", key)
	answer, err := http.DefaultClient.Do(prepared)
	if err != nil {
		return "failed " + err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return "failed " + err.Error()
	}
	return fmt.Sprint(answer.StatusCode, " ", string(text))
}

func main() {
	jobs := bufio.NewScanner(os.Stdin)
	for jobs.Scan() {
		job := strings.Split(jobs.Text(), "\t")
		told := send(job[0], job[1], job[2], job[3], job[4])
		fmt.Println(strings.Join(strings.Fields(told), " "))
	}
}
